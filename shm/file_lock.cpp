#include "shm/file_lock.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace weir::shm {

namespace {

struct flock byte_range(short type, std::int64_t byte) noexcept {
    struct flock range {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    return range;
}

std::array<std::atomic<int>, 256> dropped{};  // descriptor + 1; 0 is a free place

/// In the child of a fork, before anything else runs there. Only calls that are safe after fork.
void after_fork_in_child() {
    detail::forks.fetch_add(1,
                            std::memory_order_relaxed);  // ORDER(counter): the child has one thread
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (auto& place : dropped) {
        // ORDER(dropped): fork itself orders the parent's stores before this.
        const int fd = place.exchange(0, std::memory_order_acquire) - 1;
        if (fd < 0) continue;
        if (null < 0 || ::dup3(null, fd, O_CLOEXEC) < 0) ::close(fd);
    }
    if (null >= 0) ::close(null);
}

}  // namespace

bool try_lock_byte(int fd, std::int64_t byte) noexcept {
    struct flock range = byte_range(F_WRLCK, byte);
    return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

bool lock_byte(int fd, std::int64_t byte, Nanos wait_max) noexcept {
    const Nanos until = now() + wait_max;
    timespec pause{0, 20'000};
    for (;;) {
        struct flock range = byte_range(F_WRLCK, byte);
        if (::fcntl(fd, F_OFD_SETLK, &range) == 0) return true;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) return false;
        if (now() >= until) return false;
        // Polling, because the kernel's own wait has no end: a stopped holder must not stop us for
        // good.
        ::nanosleep(&pause, nullptr);
        if (pause.tv_nsec < 2'000'000) pause.tv_nsec *= 2;
    }
}

void unlock_byte(int fd, std::int64_t byte) noexcept {
    struct flock range = byte_range(F_UNLCK, byte);
    ::fcntl(fd, F_OFD_SETLK, &range);
}

bool locked_by_another(int fd, std::int64_t byte, std::int64_t count) noexcept {
    struct flock range = byte_range(F_WRLCK, byte);
    range.l_len = count;
    if (::fcntl(fd, F_OFD_GETLK, &range) != 0) return true;
    return range.l_type != F_UNLCK;
}

bool drop_in_children(int fd) noexcept {
    static const int registered = ::pthread_atfork(nullptr, nullptr, &after_fork_in_child);
    if (registered != 0) return false;
    for (auto& place : dropped) {
        int empty = 0;
        // ORDER(dropped): pairs with the exchange in the child, through fork.
        if (place.compare_exchange_strong(
                empty, fd + 1, std::memory_order_release,
                std::memory_order_relaxed)) {  // ORDER(dropped): a full place
            return true;
        }
    }
    return false;
}

void keep_in_children(int fd) noexcept {
    for (auto& place : dropped) {
        int wanted = fd + 1;
        // ORDER(dropped): as in drop_in_children.
        if (place.compare_exchange_strong(
                wanted, 0, std::memory_order_release,
                std::memory_order_relaxed)) {  // ORDER(dropped): not this one
            return;
        }
    }
}

}  // namespace weir::shm
