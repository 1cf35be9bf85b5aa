#include "shm/file_lock.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

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

/// A descriptor that children let go of. Places are never freed: a child may be reading them.
struct Dropped {
    std::atomic<int> holds{-1};  // the descriptor; -1: a free place
    std::atomic<std::uint64_t> claimed_as{0};
    std::atomic<std::uint64_t> device{0};
    std::atomic<std::uint64_t> inode{0};
    Dropped* next = nullptr;  // older ones
};

std::atomic<Dropped*> all_dropped{nullptr};  // the latest

/// Whether the number still is the file that was marked: an application may have reused it.
bool same_file(const Dropped& place, int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 &&
           status.st_dev == place.device.load(std::memory_order_relaxed) &&  // ORDER(dropped): before `fd`
           status.st_ino == place.inode.load(std::memory_order_relaxed);     // ORDER(dropped): likewise
}

/// In the child of a fork, before anything else runs there. Only calls that are safe after fork.
void after_fork_in_child() {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    // ORDER(dropped): fork itself orders the parent's stores before this.
    for (Dropped* place = all_dropped.load(std::memory_order_acquire); place; place = place->next) {
        const int fd = place->holds.exchange(-1, std::memory_order_acquire);  // ORDER(dropped)
        if (fd < 0 || !same_file(*place, fd)) continue;
        if (null < 0 || ::dup3(null, fd, O_CLOEXEC) < 0) ::close(fd);
    }
    if (null >= 0) ::close(null);
}

/// Takes a free place, or makes one. Null: memory is short.
Dropped* free_place() noexcept {
    constexpr int kBeingFilled = -2;
    Dropped* head = all_dropped.load(std::memory_order_acquire);  // ORDER(dropped): the list is whole
    for (Dropped* place = head; place; place = place->next) {
        int empty = -1;
        // ORDER(dropped): acquire; whoever freed it has done with it.
        if (place->holds.compare_exchange_strong(empty, kBeingFilled, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {  // ORDER(dropped): a full place
            return place;
        }
    }
    auto* made = new (std::nothrow) Dropped;
    if (made == nullptr) return nullptr;
    made->holds.store(kBeingFilled, std::memory_order_relaxed);  // ORDER(dropped): not in the list yet
    made->next = head;
    // ORDER(dropped): release; whoever walks the list sees the place whole.
    while (!all_dropped.compare_exchange_weak(made->next, made, std::memory_order_release,
                                              std::memory_order_relaxed)) {  // ORDER(dropped): again
    }
    return made;
}

std::atomic<std::uint32_t> last_number{0};  // of this process and of its ancestors

/// A page of which children get an empty copy. Null: the system has no such pages (before Linux 4.14).
std::atomic<std::uint32_t>* make_mark() noexcept {
    const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* page = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return nullptr;
    if (::madvise(page, bytes, MADV_WIPEONFORK) == 0) return new (page) std::atomic<std::uint32_t>(0);
    ::munmap(page, bytes);
    return nullptr;
}

}  // namespace

bool try_lock_byte(int fd, std::int64_t byte) noexcept {
    struct flock range = byte_range(F_WRLCK, byte);
    return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

bool share_byte(int fd, std::int64_t byte) noexcept {
    struct flock range = byte_range(F_RDLCK, byte);
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

std::uint64_t drop_in_children(int fd) noexcept {
    static const int registered = ::pthread_atfork(nullptr, nullptr, &after_fork_in_child);
    if (registered != 0) return 0;
    struct stat status {};
    static std::atomic<std::uint64_t> last_claim{0};
    if (::fstat(fd, &status) != 0) return 0;
    keep_in_children(fd, 0);  // whatever had this number before is closed
    Dropped* place = free_place();
    if (place == nullptr) return 0;
    // ORDER(dropped): distinct numbers, before `holds`
    const std::uint64_t claim = last_claim.fetch_add(1, std::memory_order_relaxed) + 1;
    place->claimed_as.store(claim, std::memory_order_relaxed);
    place->device.store(status.st_dev, std::memory_order_relaxed);  // ORDER(dropped): before `fd`
    place->inode.store(status.st_ino, std::memory_order_relaxed);   // ORDER(dropped): likewise
    // ORDER(dropped): pairs with the exchange in the child, through fork.
    place->holds.store(fd, std::memory_order_release);
    return claim;
}

bool still_claimed(int fd, std::uint64_t claim) noexcept {
    // ORDER(dropped): acquire; the claim is the one that came with the number
    for (Dropped* place = all_dropped.load(std::memory_order_acquire); place; place = place->next) {
        if (place->holds.load(std::memory_order_acquire) != fd) continue;            // ORDER(dropped)
        if (place->claimed_as.load(std::memory_order_relaxed) == claim) return true;  // ORDER(dropped)
    }
    return false;
}

void keep_in_children(int fd, std::uint64_t claim) noexcept {
    // ORDER(dropped): as in drop_in_children.
    for (Dropped* place = all_dropped.load(std::memory_order_acquire); place; place = place->next) {
        // ORDER(dropped): with the number that it came with
        if (claim != 0 && place->claimed_as.load(std::memory_order_relaxed) != claim) continue;
        int wanted = fd;
        if (place->holds.compare_exchange_strong(
                wanted, -1, std::memory_order_release,
                std::memory_order_relaxed)) {  // ORDER(dropped): not this one
            return;
        }
    }
}

namespace detail {

std::uint32_t mark_process() noexcept {
    static std::atomic<std::uint32_t>* const mark = [] {
        std::atomic<std::uint32_t>* page = make_mark();
        static std::atomic<std::uint32_t> instead{0};
        if (page == nullptr) {
            // Only fork() is noticed then.
            page = &instead;
            // ORDER(counter): the child has one thread
            ::pthread_atfork(nullptr, nullptr, [] { instead.store(0, std::memory_order_relaxed); });
        }
        return page;
    }();
    process_mark.store(mark, std::memory_order_relaxed);  // ORDER(counter): the same for everybody
    // ORDER(counter): numbers of one process and its ancestors only have to differ
    const std::uint32_t number = last_number.fetch_add(1, std::memory_order_relaxed) + 1;
    std::uint32_t found = 0;
    mark->compare_exchange_strong(found, number, std::memory_order_relaxed);  // ORDER(counter): likewise
    return found != 0 ? found : number;
}

}  // namespace detail

}  // namespace weir::shm
