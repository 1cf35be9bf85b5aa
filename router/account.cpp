#include "router/account.hpp"

#include <algorithm>
#include <utility>

namespace weir::router {

bool Account::place(shm::Segment& segment, shm::Participant& participant,
                    std::span<Deployment* const> candidates, shm::Nanos now, NoPlace& refusal) {
    placement_ = router::place(segment, participant, candidates, unpaid(), bill_, now, refusal);
    return placement_.deployment != nullptr;
}

std::optional<shm::Nanos> Account::earliest(const shm::Participant& participant,
                                            std::span<Deployment* const> candidates,
                                            shm::Nanos now) const {
    return earliest_place(participant, candidates, unpaid(), bill_, now);
}

void Account::settle_attempt(const Spent& spent, shm::Nanos now) noexcept {
    if (placement_.deployment == nullptr) return;
    arrived_ = arrived_ || spent.arrived;
    settle_deployment(spent, now);
    if (!callers_ && (!caller_.scopes.empty() || !caller_.holds.empty())) {
        placement_.ticket.release(caller_.holds.size());  // the deployment's slot, not the caller's
        callers_ = std::move(placement_.ticket);
    } else {
        placement_.ticket.close();
    }
    placement_ = {};
}

void Account::settle(const Spent& spent, shm::Nanos now) noexcept {
    arrived_ = arrived_ || spent.arrived;
    settle_caller(spent, now);
    if (placement_.deployment != nullptr) settle_deployment(spent, now);
    placement_.ticket.close();
    callers_.close();
}

void Account::settle_deployment(const Spent& spent, shm::Nanos now) noexcept {
    const Deployment& deployment = *placement_.deployment;
    const CostPolicy policy = deployment.cost_policy();
    const Costs costs = bill_.deployment(policy);
    const std::size_t count = deployment.scopes().size();
    const bool shared = deployment.share(caller_.priority) != nullptr;
    for (std::size_t i = 0; i < count; ++i) {
        const shm::Units used = units(deployment.scopes()[i], costs, policy, spent.arrived, spent);
        placement_.ticket.settle(placement_.callers + i, used, now);
        if (shared) placement_.ticket.settle(placement_.callers + count + i, used, now);
    }
    if (const Scope* tally = deployment.tally()) {
        const shm::Units used = units(*tally, bill_.caller(), CostPolicy::sum, spent.arrived, spent);
        placement_.ticket.settle(placement_.tally, used, now);
    }
}

void Account::settle_caller(const Spent& spent, shm::Nanos now) noexcept {
    shm::Ticket& ticket = callers_ ? callers_ : placement_.ticket;
    if (!ticket) return;
    // Without an answer the caller got nothing for its tokens.
    const Spent answer = placement_.deployment != nullptr ? spent : Spent{};
    for (std::size_t i = 0; i < caller_.scopes.size(); ++i) {
        ticket.settle(i, units(*caller_.scopes[i], bill_.caller(), CostPolicy::sum, arrived_, answer),
                      now);
    }
}

/// An upstream's refusal, and a request that never reached it, cost no tokens; an answer costs what
/// it says, or else what was reserved, or what was seen of it if that is more.
shm::Units Account::units(const Scope& scope, const Costs& costs, CostPolicy policy, bool counted,
                          const Spent& spent) const noexcept {
    if (scope.unit == shm::Unit::requests) return counted ? 1 : 0;
    if (!spent.worked) return 0;
    if (spent.usage) return units_for(scope.unit, exact_cost(*spent.usage, size_, policy));
    const Estimate seen = interrupted_cost({}, size_, spent.seen, bill_.learned(), policy);
    return std::max(reserved_for(scope, costs), units_for(scope.unit, seen));
}

}  // namespace weir::router
