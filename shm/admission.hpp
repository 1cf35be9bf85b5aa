// One decision over many limits: all of a request's scopes are charged, or none.
//
// An Admission is asked of a Participant (participant.hpp). Looking comes first and charging
// second, in the order given; what was charged before a refusal is given back into its own window.
// A process killed in between leaves at most one reservation, which expires with its window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/limiter.hpp"
#include "shm/ticket.hpp"

namespace weir::shm {

/// One window to charge.
struct Charge {
    Limiter limiter;
    Units units = 1;  ///< 0 is allowed and always passes
};

/// All that one request asks for.
struct Demand {
    std::span<const Charge> charges;  ///< at most kScopesMax
    std::span<const Gauge>
        holds;  ///< one slot of each for as long as the ticket lives; at most kScopesMax
};

enum class Refused : std::uint8_t {
    over_limit,  ///< a window is full now; Participant::earliest says when this demand would pass
    never_fits,  ///< more units than the limit allows at all: waiting does not help
    in_flight,   ///< a gauge is at its maximum; nobody can say for how long
    evicted,     ///< a handle names something that is no longer in the segment
    corrupt,     ///< the segment's words make no sense; counted and refused
};

/// Why a demand was refused. Nothing was charged.
struct Refusal {
    Refused reason = Refused::over_limit;
    bool in_holds = false;  ///< whether `index` counts in Demand::holds, or else in Demand::charges
    std::uint8_t index = 0;  ///< the first scope that refused
};

/// A ticket, or the reason why there is none.
struct [[nodiscard]] Admission {
    Ticket ticket;
    Refusal refusal;
    bool admitted() const noexcept { return static_cast<bool>(ticket); }
};

}  // namespace weir::shm
