// Cuts time into the ticks of one window length.
//
// Thread safety: a value; immutable after construction.
#pragma once

#include <cstdint>

#include "shm/clock.hpp"

namespace weir::shm {

/// Maps a monotonic time to a tick number and back. One window is `ticks_per_window` ticks long, and a tick
/// is never shorter than window / ticks_per_window: two times more than `ticks_per_window` ticks apart are
/// at least one whole window apart, whatever the rounding. The limiter's promise rests on this.
///
/// The division is a multiplication by a 64-bit fixed-point reciprocal, for it stands on the hot path.
class TickScale {
 public:
    /// Ticks start here and not at 0, so that a window reaching back from the host's boot never underflows.
    static constexpr std::uint64_t kFirstTick = 1024;

    /// `window` from 1 ms to 366 days; checked by whoever reads it from outside (Segment does).
    constexpr TickScale(Nanos window, std::uint32_t ticks_per_window) noexcept
        : reciprocal_(static_cast<std::uint64_t>(
              (static_cast<Wide>(ticks_per_window) << 64) / static_cast<std::uint64_t>(window.count()))) {}

    /// The scale that `reciprocal()` came from, without the division.
    static constexpr TickScale from_reciprocal(std::uint64_t reciprocal) noexcept {
        return TickScale(reciprocal == 0 ? 1 : reciprocal);
    }
    constexpr std::uint64_t reciprocal() const noexcept { return reciprocal_; }

    /// The tick that `time` falls into.
    constexpr std::uint64_t tick_at(Nanos time) const noexcept {
        const auto ns = static_cast<std::uint64_t>(time.count());
        return kFirstTick + static_cast<std::uint64_t>((static_cast<Wide>(ns) * reciprocal_) >> 64);
    }

    /// The first nanosecond of `tick`: tick_at(start_of(t)) == t and tick_at(start_of(t) - 1ns) == t - 1.
    constexpr Nanos start_of(std::uint64_t tick) const noexcept {
        const auto wide = static_cast<Wide>(tick - kFirstTick) << 64;
        return Nanos(static_cast<std::int64_t>((wide + reciprocal_ - 1) / reciprocal_));
    }

 private:
    explicit constexpr TickScale(std::uint64_t reciprocal) noexcept : reciprocal_(reciprocal) {}

    __extension__ using Wide = unsigned __int128;

    std::uint64_t reciprocal_;  // ticks per nanosecond, scaled by 2^64, rounded down
};

}  // namespace weir::shm
