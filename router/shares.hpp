// Shares of a limit by priority: what is reserved for one priority, others may borrow while there
// is room.
//
// This comes before admission and never instead of it: the limit itself is kept exactly by its
// limiter. What is used by one priority is counted in a limiter of its own, without which nobody
// knew. Two processes that ask at the same moment may both borrow the last unit below the
// threshold; the limit holds all the same.
//
// Thread safety: pure.
#pragma once

#include <string_view>

#include "router/config.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// One limit at this moment, seen by a request of one priority.
struct ShareView {
    shm::Units limit = 0;     ///< of the whole limit
    shm::Units used = 0;      ///< of it, by everybody
    shm::Units used_own = 0;  ///< of it, by this priority
    shm::Units cost = 1;      ///< of the request
};

/// The part of every limit that is reserved for `priority`, 0 .. 1; "" and unknown ones have the
/// default.
double share_of(const PrioritySettings& settings, std::string_view priority) noexcept;

/// The units of `limit` that `share` reserves, rounded down.
shm::Units reserved_units(shm::Units limit, double share) noexcept;

/// How a limit is shared with one priority.
struct ShareRule {
    double share = 0;      ///< the part that is reserved for it, 0 .. 1
    double threshold = 0;  ///< of the whole limit, below which anybody may borrow, 0 .. 1
};

/// Whether the request may be admitted: within its own share always, beyond it as long as the whole
/// limit is used no further than the threshold. So one priority alone gets the larger of its share
/// and the threshold.
bool share_allows(const ShareRule& rule, const ShareView& view) noexcept;

}  // namespace weir::router
