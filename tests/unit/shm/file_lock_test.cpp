#include "shm/file_lock.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
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
    REQUIRE(drop_in_children(marked.fd()));
    REQUIRE(drop_in_children(kept.fd()));
    keep_in_children(kept.fd());
    const std::uint32_t forks = fork_count();
    const auto is_null = [](int fd) {
        char byte = 1;  // /dev/null takes it, and a read finds nothing
        return ::write(fd, &byte, 1) == 1 && ::pread(fd, &byte, 1, 0) == 0;
    };
    CHECK(in_child([&] { return is_null(marked.fd()) && !is_null(kept.fd()) ? 0 : 1; }) == 0);
    CHECK(in_child([&] { return fork_count() == forks + 1 ? 0 : 1; }) == 0);
    CHECK(fork_count() == forks);
    CHECK_FALSE(is_null(marked.fd()));
    keep_in_children(marked.fd());
}

TEST_CASE("the list of what children let go of has an end, and room again afterwards") {
    constexpr int kFirst = 100'000;  // numbers of no open files
    int count = 0;
    while (count < 1000 && drop_in_children(kFirst + count)) ++count;
    CHECK(count > 200);
    CHECK(count <= 256);
    for (int i = 0; i < count; ++i) keep_in_children(kFirst + i);
    CHECK(drop_in_children(kFirst));
    keep_in_children(kFirst);
}
