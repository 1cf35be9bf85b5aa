#include "shm/file_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

using namespace weir::shm;

namespace {

/// A file that nobody finds by a name.
class Opened {
 public:
    Opened() : fd_(::memfd_create("weir-file-lock-test", MFD_CLOEXEC)) { REQUIRE(fd_ >= 0); }
    /// The same file, opened once more: locks belong to openings.
    Opened(const Opened& other, int flags)
        : fd_(::open(("/proc/self/fd/" + std::to_string(other.fd_)).c_str(), flags | O_CLOEXEC)) {
        REQUIRE(fd_ >= 0);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    ~Opened() { close(); }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    int fd() const { return fd_; }

 private:
    int fd_;
};

/// Runs `work` in a child and returns what it returned.
template <class Work>
int in_child(Work work) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(work());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace

TEST_CASE("a byte is locked by one opening at a time, other bytes are free") {
    Opened first;
    Opened second(first, O_RDWR);
    REQUIRE(try_lock_byte(first.fd(), 5));
    CHECK(try_lock_byte(first.fd(), 5));  // its own already
    CHECK_FALSE(try_lock_byte(second.fd(), 5));
    CHECK(try_lock_byte(second.fd(), 6));
    CHECK(locked_by_another(second.fd(), 5));
    CHECK_FALSE(locked_by_another(first.fd(), 5));
    CHECK_FALSE(locked_by_another(second.fd(), 7));
    unlock_byte(first.fd(), 5);
    CHECK(try_lock_byte(second.fd(), 5));
}

TEST_CASE("whoever may only read sees who is locked") {
    Opened holder;
    Opened reader(holder, O_RDONLY);
    REQUIRE(try_lock_byte(holder.fd(), 1));
    CHECK(locked_by_another(reader.fd(), 1));
    CHECK_FALSE(locked_by_another(reader.fd(), 2));
    CHECK_FALSE(try_lock_byte(reader.fd(), 2));
}

TEST_CASE("closing the opening drops its locks, and no other's") {
    Opened first;
    Opened second(first, O_RDWR);
    Opened third(first, O_RDWR);
    REQUIRE(try_lock_byte(second.fd(), 1));
    third.close();
    CHECK(locked_by_another(first.fd(), 1));
    second.close();
    CHECK_FALSE(locked_by_another(first.fd(), 1));
}

TEST_CASE("waiting for a lock ends when it is free, or when the time is over") {
    Opened first;
    Opened second(first, O_RDWR);
    CHECK(lock_byte(second.fd(), 1, Nanos(0)));
    CHECK_FALSE(lock_byte(first.fd(), 1, Nanos(0)));
    const Nanos before = now();
    CHECK_FALSE(lock_byte(first.fd(), 1, std::chrono::milliseconds(20)));
    CHECK(now() - before >= std::chrono::milliseconds(20));
    unlock_byte(second.fd(), 1);
    CHECK(lock_byte(first.fd(), 1, std::chrono::seconds(30)));
}

TEST_CASE("on what is no file nothing is locked, and the living are not taken for dead") {
    CHECK_FALSE(try_lock_byte(-1, 1));
    CHECK_FALSE(lock_byte(-1, 1, std::chrono::seconds(30)));
    CHECK(locked_by_another(-1, 1));
}

TEST_CASE("the kernel drops the lock of a process that dies") {
    Opened mine;
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const std::string path = "/proc/self/fd/" + std::to_string(mine.fd());
        const int own = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        const char locked = try_lock_byte(own, 1) ? 'y' : 'n';
        if (::write(pipe[1], &locked, 1) != 1) ::_exit(1);
        for (;;) ::pause();
    }
    char locked = 0;
    CHECK(::read(pipe[0], &locked, 1) == 1);
    CHECK(locked == 'y');
    CHECK(locked_by_another(mine.fd(), 1));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK(try_lock_byte(mine.fd(), 1));
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE("a child lets go of what was marked, so that a lock dies with its parent's opening") {
    Opened observer;
    Opened marked(observer, O_RDWR);
    Opened kept(observer, O_RDWR);
    REQUIRE(drop_in_children(marked.fd()) != 0);
    REQUIRE(drop_in_children(kept.fd()) != 0);
    keep_in_children(kept.fd(), 0);
    const std::uint32_t forks = fork_count();
    const auto is_null = [](int fd) {
        char byte = 1;  // /dev/null takes it, and a read finds nothing
        return ::write(fd, &byte, 1) == 1 && ::pread(fd, &byte, 1, 0) == 0;
    };
    CHECK(in_child([&] { return is_null(marked.fd()) && !is_null(kept.fd()) ? 0 : 1; }) == 0);
    CHECK(in_child([&] { return fork_count() == forks + 1 ? 0 : 1; }) == 0);
    CHECK(fork_count() == forks);
    CHECK_FALSE(is_null(marked.fd()));
    keep_in_children(marked.fd(), 0);
}

TEST_CASE("every opening's locks are let go of in children, however many there are") {
    constexpr int kOpenings = 600;
    Opened first;
    std::deque<Opened> many;
    for (int i = 0; i < kOpenings; ++i) {
        many.emplace_back(first, O_RDWR);
        REQUIRE(drop_in_children(many.back().fd()) != 0);
        REQUIRE(try_lock_byte(many.back().fd(), i));
    }
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (::write(ready[1], "x", 1) != 1) ::_exit(1);
        for (;;) ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    for (auto& opened : many) {
        keep_in_children(opened.fd(), 0);
        opened.close();
    }
    int still_locked = 0;  // by the child, which lives
    for (int i = 0; i < kOpenings; ++i) still_locked += locked_by_another(first.fd(), i) ? 1 : 0;
    CHECK(still_locked == 0);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("what is not open cannot be let go of") {
    CHECK(drop_in_children(-1) == 0);
    CHECK(drop_in_children(100'000) == 0);
}

TEST_CASE("a child leaves the application's file alone that has taken the number of a closed one") {
    Opened observer;
    auto marked = std::make_unique<Opened>(observer, O_RDWR);
    const int number = marked->fd();
    const std::uint64_t claim = drop_in_children(number);
    REQUIRE(claim != 0);
    CHECK(still_claimed(number, claim));
    const int theirs = ::memfd_create("weir-file-lock-theirs", MFD_CLOEXEC);
    REQUIRE(theirs >= 0);
    REQUIRE(::dup2(theirs, number) == number);  // as if it had been closed and reused
    CHECK(in_child([&] {
              struct stat before {};
              struct stat after {};
              if (::fstat(theirs, &before) != 0 || ::fstat(number, &after) != 0) return 1;
              return before.st_ino == after.st_ino ? 0 : 1;
          }) == 0);
    const std::uint64_t next = drop_in_children(number);  // by another opening that has got the number
    CHECK_FALSE(still_claimed(number, claim));
    CHECK(still_claimed(number, next));
    keep_in_children(number, claim);
    CHECK(still_claimed(number, next));
    keep_in_children(number, next);
    ::close(theirs);
}

TEST_CASE("a child has another number, also one that no fork handler saw") {
    const std::uint32_t mine = fork_count();
    CHECK(mine != 0);
    CHECK(fork_count() == mine);
    // clone without the C library: no handler runs.
    const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(fork_count() != mine && fork_count() == fork_count() ? 0 : 1);
    int status = 0;
    REQUIRE(::waitpid(static_cast<pid_t>(child), &status, 0) == child);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
