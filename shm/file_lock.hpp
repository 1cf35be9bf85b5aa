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

inline constexpr std::int64_t kLockCreation = 0;
inline constexpr std::int64_t kLockDirectory = 1;
inline constexpr std::int64_t kLockCoordinator = 2;
inline constexpr std::int64_t kLockParticipants = 4096;  // + the slot's index
inline constexpr std::int64_t kLockNames = std::int64_t{1} << 40;  // + a hash; see name_users.hpp

/// Takes the byte's lock at once, or not. False also on a system error.
bool try_lock_byte(int fd, std::int64_t byte) noexcept;

/// Takes a lock of the byte that others of this kind do not exclude, and that only shows that somebody is
/// here. For reading will do.
bool share_byte(int fd, std::int64_t byte) noexcept;

/// Takes the byte's lock, waiting for its holder no longer than `wait_max`.
bool lock_byte(int fd, std::int64_t byte, Nanos wait_max) noexcept;

void unlock_byte(int fd, std::int64_t byte) noexcept;

/// Whether another opening of the file holds the lock of any of the `count` bytes from `byte` on. True when
/// nobody can tell: to take the living for dead is the graver mistake. Works on a descriptor that is open for
/// reading only.
bool locked_by_another(int fd, std::int64_t byte, std::int64_t count = 1) noexcept;

namespace detail {
/// Lies in a page that the kernel clears in every child, whatever made the child (fork, _Fork, clone); null
/// before the first look.
inline std::atomic<std::atomic<std::uint32_t>*> process_mark{nullptr};
std::uint32_t mark_process() noexcept;
}  // namespace detail

/// A number of this process that no ancestor of it with the same memory has: what was opened under another
/// number belongs to a parent, and its locks, too. Costs two loads, no system call. A child that shares its
/// parent's memory (vfork) has its parent's number.
inline std::uint32_t fork_count() noexcept {
    constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(counter): a number by itself, set once
    const std::atomic<std::uint32_t>* mark = detail::process_mark.load(kRelaxed);
    const std::uint32_t number = mark != nullptr ? mark->load(kRelaxed) : 0;
    return number != 0 ? number : detail::mark_process();
}

/// Has the child of a later fork() let go of `fd`, so that the locks of a parent that dies do not live on in
/// it. The number stays valid in the child, open on /dev/null; a number that is another file by then is left
/// alone. Any number of descriptors. Returns a claim on the number; 0 if `fd` is not open, or memory is
/// short: then the descriptor must not be relied on.
std::uint64_t drop_in_children(int fd) noexcept;

/// Whether nobody else has claimed the number since: then the claimant's file was closed under it. Not in a
/// child, either.
bool still_claimed(int fd, std::uint64_t claim) noexcept;

/// Undoes drop_in_children, before `fd` is closed. `claim` 0: whoever has claimed it.
void keep_in_children(int fd, std::uint64_t claim) noexcept;

}  // namespace weir::shm
