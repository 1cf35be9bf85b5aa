// Child processes that a test starts, kills and waits for; none outlives it.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>

namespace weir::shm::test {

/// One child. Killed and reaped when this goes out of scope.
class Child {
 public:
    /// Runs `work` in a child, which ends with what it returns. No assertion of Catch2 may be made
    /// there.
    explicit Child(const std::function<int()>& work) : pid_(::fork()) {
        if (pid_ < 0) throw std::runtime_error("fork failed");
        if (pid_ != 0) return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        int code = 99;
        try {
            code = work();
        } catch (...) {
        }
        ::_exit(code);
    }
    Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = 0; }
    Child& operator=(Child&&) = delete;
    ~Child() {
        if (pid_ > 0) {
            kill();
            wait();
        }
    }

    pid_t pid() const noexcept { return pid_; }
    void kill() const noexcept {
        if (pid_ > 0) ::kill(pid_, SIGKILL);  // 0 would be this process's group
    }

    /// For who has waited for it by other means.
    void forget() noexcept { pid_ = 0; }

    /// Whether it has ended by now; if so its code goes to `code`, as wait() has it.
    bool has_ended(int& code) noexcept {
        int status = 0;
        if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return false;
        pid_ = 0;
        code = code_of(status);
        return true;
    }

    /// The exit code, or 256 + the signal that ended it.
    int wait() noexcept {
        int status = 0;
        if (pid_ <= 0 || ::waitpid(pid_, &status, 0) != pid_) return -1;
        pid_ = 0;
        return code_of(status);
    }

 private:
    static int code_of(int status) noexcept {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    }

    pid_t pid_;
};

/// Memory that the test and its children share; zero at first.
template <class T>
class Shared {
 public:
    Shared() {
        void* memory =
            ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
        value_ = static_cast<T*>(memory);
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { ::munmap(value_, sizeof(T)); }
    T* operator->() const noexcept { return value_; }
    T& operator*() const noexcept { return *value_; }

 private:
    T* value_;
};

}  // namespace weir::shm::test
