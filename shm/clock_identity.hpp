// Where the host's monotonic clock comes from: its boot, and the time namespace that shifts it. Times in a
// segment mean something only to processes for which both are the same.
//
// Internal to shm/. Thread and process safety: all of it.
#pragma once

#include <cstdint>
#include <string>

namespace weir::shm {

struct ClockIdentity {
    std::uint64_t boot[2] = {0, 0};    ///< /proc/sys/kernel/random/boot_id; both 0: it cannot be read
    std::uint64_t time_namespace = 0;  ///< inode of /proc/self/ns/time; 0: it cannot be read
    bool boot_known() const noexcept { return (boot[0] | boot[1]) != 0; }
    bool operator==(const ClockIdentity&) const = default;
};

/// This process's. Reads files; costs some microseconds.
ClockIdentity this_clock();

/// The boot id as the kernel writes it, or "unknown".
std::string boot_text(const ClockIdentity& clock);

enum class SameClock : std::uint8_t {
    yes,
    other_boot,    ///< both know their boot, and it is not the same
    unknown_boot,  ///< one of them does not, and the file may outlive a boot
    other_clock,   ///< another time namespace
};

/// Whether `its` times mean something to `mine`. The boot id is read in /proc, which a process may not have
/// (systemd's ProcSubset=pid, a bare chroot). A file that is `in_memory` cannot come from another boot, so
/// there it may be unknown; elsewhere nobody can tell. The same for a time namespace that cannot be read.
SameClock compare(const ClockIdentity& its, const ClockIdentity& mine, bool in_memory) noexcept;

}  // namespace weir::shm
