// A gauge's record as decisions use it: its maximum, and a slot taken so that lowering it is exact.
//
// Internal to shm/. Thread safety: all of it.
#pragma once

#include <optional>

#include "shm/admission.hpp"
#include "shm/in_flight.hpp"
#include "shm/layout.hpp"
#include "shm/limiter.hpp"

namespace weir::shm {

inline bool lives(const Gauge& gauge) noexcept {
    // ORDER(life): acquire; as in still_lives.
    return gauge && gauge.record->life.load(std::memory_order_acquire) == gauge.generation;
}

/// What GaugeRecord::max holds where there is no maximum: more than can be counted. Not 0, which is what a
/// shared gauge may allow this host.
inline constexpr Units kNoMaximum = Parameter<>::kMax;

/// The most that may be in flight.
inline Units max_of(const GaugeRecord& gauge) noexcept {
    // ORDER(limit): a parameter on its own
    return Parameter<>::value_of(gauge.max.load(std::memory_order_relaxed));
}

/// Takes a slot of `gauge`, and gives it back if the maximum was lowered meanwhile: whoever lowers it
/// changes `total` afterwards, so that a slot taken later sees the new maximum here (set_lease_words).
inline Hold take_once(InFlight<Word>::View cells, GaugeRecord& gauge, std::uint32_t slot,
                      std::uint64_t& retries) noexcept {
    const std::uint64_t max = max_of(gauge);
    if (max == 0) return Hold::full;
    const Hold hold = InFlight<Word>::take(cells, slot, max, retries);
    if (hold != Hold::taken || InFlight<Word>::count(gauge.total) <= max_of(gauge)) return hold;
    InFlight<Word>::drop(cells, slot, retries);
    return Hold::full;
}

/// Takes a slot of `gauge` for participant `me`; if it seems full, the dead are looked for, with system calls
/// at most ten times a second. Empty when it is taken, or why it is not.
std::optional<Refused> hold_slot(ParticipantImpl& me, const Gauge& gauge, Nanos now) noexcept;

}  // namespace weir::shm
