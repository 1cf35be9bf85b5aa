// What limits would say to a demand, without charging it.
//
// Internal to shm/. Thread safety: all of it.
#pragma once

#include "shm/admission.hpp"
#include "shm/participant.hpp"

namespace weir::shm {

/// More than one decision can span.
inline bool too_many(const Demand& demand) noexcept {
    return demand.charges.size() > kScopesMax || demand.holds.size() > kScopesMax;
}

/// The time at which a demand is decided: `now`, or that of the limiter that is furthest ahead of it.
Nanos decided_at(const Demand& demand, Nanos now) noexcept;

/// What a window limiter holds. Whoever comes by a handle checks its life before and after.
LimiterUsage usage_of(const WindowRecord& record, Nanos now, bool resets) noexcept;

}  // namespace weir::shm
