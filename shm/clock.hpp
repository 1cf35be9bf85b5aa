// The clock that every process on the host shares, and the few types that the segment counts in.
//
// Thread and process safety: everything here is pure or a single system-provided read.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace weir::shm {

/// A duration, or a point in time counted from the epoch of CLOCK_MONOTONIC (the host's boot, give or take).
using Nanos = std::chrono::nanoseconds;

/// For people, files and JSON, which count in seconds.
constexpr double to_seconds(Nanos duration) noexcept {
    return std::chrono::duration<double>(duration).count();
}

/// What is less than a nanosecond is cut off. `seconds` must be a number of at most 292 years.
constexpr Nanos from_seconds(double seconds) noexcept {
    return std::chrono::duration_cast<Nanos>(std::chrono::duration<double>(seconds));
}

/// Requests or tokens. A limiter takes 1 .. kUnitsMax; see window.hpp.
using Units = std::uint64_t;

/// Reads CLOCK_MONOTONIC: the same for all processes of a host (and of a time namespace), never set back,
/// not moved by NTP steps. A vDSO read, no system call on ordinary hosts.
inline Nanos now() noexcept {
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::chrono::seconds(t.tv_sec) + Nanos(t.tv_nsec);
}

/// The same, as it was up to some milliseconds ago: for deadlines, which nobody meets more exactly.
inline Nanos coarse_now() noexcept {
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return std::chrono::seconds(t.tv_sec) + Nanos(t.tv_nsec);
}

}  // namespace weir::shm
