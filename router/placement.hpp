// Which deployment takes a request: asked in the strategy's order, the first that admits it. A
// refusal says which limit refused, and the soonest time at which any of them would admit it.
//
// Thread safety: none.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "router/api_error.hpp"
#include "router/cost.hpp"
#include "router/deployment.hpp"
#include "shm/admission.hpp"
#include "shm/lease.hpp"
#include "shm/participant.hpp"

namespace weir::router {

/// What a caller's own limits are: of its key, its team, its user. Must outlive the request.
struct CallerLimits {
    std::span<Scope* const> scopes;
    std::span<Hold* const> holds;
    std::string_view priority{};  ///< whose share of the deployments' limits it takes; may be empty
};

/// What a request may cost, from what is known before it is sent, for limits that count in different ways.
class Bill {
 public:
    Bill() = default;
    Bill(const RequestSize& size, const shm::LearnedEstimate& learned) noexcept
        : size_(size), learned_(learned), sum_(estimate_costs(size, learned, CostPolicy::sum)) {}

    /// What was known of the model's answers when it was made.
    const shm::LearnedEstimate& learned() const noexcept { return learned_; }
    /// By the policy of the caller's limits: sum.
    const Costs& caller() const noexcept { return sum_; }
    /// By the policy of a deployment, mostly the same.
    Costs deployment(CostPolicy policy) const noexcept {
        return policy == CostPolicy::sum ? sum_ : estimate_costs(size_, learned_, policy);
    }

 private:
    RequestSize size_;
    shm::LearnedEstimate learned_;
    Costs sum_;
};

/// A deployment that has admitted a request. The ticket's charges are the caller's scopes, in their
/// order, then the deployment's, then those that count its priority's share, then its tally; its holds
/// are the caller's, then the deployment's.
struct Placement {
    Deployment* deployment = nullptr;
    shm::Ticket ticket;
    std::size_t callers = 0;  ///< how many of the charges are the caller's
    std::size_t tally = 0;    ///< which of them is the deployment's tally, if it has one
};

/// Why none did.
struct NoPlace {
    shm::Refused reason = shm::Refused::over_limit;
    const Scope* scope = nullptr;           ///< the limit that refused, if one did
    std::optional<shm::Nanos> retry_after;  ///< from now; empty if unknown or never
    bool callers = false;                   ///< one of the caller's limits did: no deployment helps
    const Hold* hold = nullptr;             ///< what has too much in flight, if that did
    bool too_many = false;  ///< more limits than one decision can span: shm::kScopesMax
    bool by_share = false;  ///< `scope` has room, but not for the caller's priority
    shm::Shortage shortage;  ///< the first shared limit of which this host might be given more
    Deployment* short_at = nullptr;  ///< and the deployment that was asked then
};

/// What a limit is asked for: of `costs` what it counts, but as far as that is a guess never more
/// than it allows.
inline shm::Units reserved_for(const Scope& scope, const Costs& costs) noexcept {
    return reservation(units_for(scope.unit, costs.reserve), units_for(scope.unit, costs.certain),
                       scope.limit);
}

/// Asks `candidates` in their order. `refusal` says why if none admits it.
Placement place(shm::Segment& segment, shm::Participant& participant,
                std::span<Deployment* const> candidates, const CallerLimits& caller,
                const Bill& bill, shm::Nanos now, NoPlace& refusal);

/// All shared limits that the request is under at `deployment`: who is short of one will need the others,
/// too.
std::vector<shm::Shortage> shared_limits(Deployment& deployment, const CallerLimits& caller,
                                         const Bill& bill);

/// When one of `candidates` would admit such a request, `now` or later, if nobody else took
/// anything; empty if that cannot be known.
std::optional<shm::Nanos> earliest_place(const shm::Participant& participant,
                                         std::span<Deployment* const> candidates,
                                         const CallerLimits& caller, const Bill& bill,
                                         shm::Nanos now);

/// The 503 for a request one of whose limits has no room in the segment.
ApiError no_room();

/// `refusal` for the client that asked for `model`.
ApiError to_error(const NoPlace& refusal, std::string_view model);

}  // namespace weir::router
