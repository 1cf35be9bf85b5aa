// Locks on single bytes of the segment's file: what the kernel itself releases when a process dies.
//
// They are open-file-description locks: they belong to one opening of the file, so two Segments of
// one process exclude each other too, and closing some other descriptor of the file does not drop
// them. The bytes stand for things and need not exist in the file.
//
// None of this is on the path of a decision. Thread safety: system calls only.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/clock.hpp"

namespace weir::shm {

namespace detail {
inline std::atomic<std::uint32_t> forks{0};
}

inline constexpr std::int64_t kLockCreation = 0;
inline constexpr std::int64_t kLockDirectory = 1;
inline constexpr std::int64_t kLockCoordinator = 2;
inline constexpr std::int64_t kLockParticipants = 4096;  // + the slot's index

/// Takes the byte's lock at once, or not. False also on a system error.
bool try_lock_byte(int fd, std::int64_t byte) noexcept;

/// Takes the byte's lock, waiting for its holder no longer than `wait_max`.
bool lock_byte(int fd, std::int64_t byte, Nanos wait_max) noexcept;

void unlock_byte(int fd, std::int64_t byte) noexcept;

/// Whether another opening of the file holds the lock of any of the `count` bytes from `byte` on. True when
/// nobody can tell: to take the living for dead is the graver mistake. Works on a descriptor that is open for
/// reading only.
bool locked_by_another(int fd, std::int64_t byte, std::int64_t count = 1) noexcept;

/// How often this process has been forked off a process that had the library loaded. What was
/// opened under another number belongs to the parent.
inline std::uint32_t fork_count() noexcept {
    return detail::forks.load(
        std::memory_order_relaxed);  // ORDER(counter): set before a child runs on
}

/// Has the child of a later fork let go of `fd`, so that the locks of a parent that dies do not
/// live on in it. The number stays valid in the child, open on /dev/null. False when the list (256)
/// is full.
bool drop_in_children(int fd) noexcept;

/// Undoes drop_in_children, before `fd` is closed.
void keep_in_children(int fd) noexcept;

}  // namespace weir::shm
