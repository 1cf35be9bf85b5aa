// What one request is charged, from its first reservation to its settlement.
//
// Each attempt counts as a request under its deployment's limits, for that is how upstreams count;
// under the caller's limits the request counts once, however often it is tried. Tokens are charged
// by what the answer says it used.
//
// Thread safety: none.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "router/cost.hpp"
#include "router/placement.hpp"
#include "router/usage.hpp"

namespace weir::router {

/// What is known of an attempt when it is settled.
struct Spent {
    bool arrived = false;        ///< the upstream may have counted it as a request
    bool worked = false;         ///< and may have used tokens for it: it did not refuse
    std::optional<Usage> usage;  ///< what the answer said
    Seen seen;                   ///< or else what was seen of it
};

class Account {
 public:
    /// What `caller` refers to must outlive it.
    Account(const RequestSize& size, const CallerLimits& caller) noexcept
        : size_(size), caller_(caller) {}

    /// Estimates the cost at a model group, by what has been learned of it.
    void estimate(const shm::LearnedEstimate& learned) noexcept { bill_ = Bill(size_, learned); }
    const Bill& bill() const noexcept { return bill_; }
    const RequestSize& size() const noexcept { return size_; }

    /// Reserves the estimate at the first of `candidates` that has room; `refusal` says why none
    /// has. The caller's limits are asked by the first attempt only. The attempt before must be
    /// settled.
    bool place(shm::Segment& segment, shm::Participant& participant,
               std::span<Deployment* const> candidates, shm::Nanos now, NoPlace& refusal);

    /// The shared limits that it is under at `deployment`: see placement.hpp.
    std::vector<shm::Shortage> shared_limits(Deployment& deployment) const {
        return router::shared_limits(deployment, unpaid(), bill_);
    }

    /// When the same would find room: see placement.hpp.
    std::optional<shm::Nanos> earliest(const shm::Participant& participant,
                                       std::span<Deployment* const> candidates, shm::Nanos now) const;

    /// The caller's limits, as far as they are still to be asked.
    CallerLimits unpaid() const noexcept {
        return callers_ ? CallerLimits{{}, {}, caller_.priority} : caller_;
    }

    /// Whose attempt is under way, or was the last; null if there was none.
    Deployment* deployment() const noexcept { return placement_.deployment; }

    /// The attempt has failed, and this request goes on elsewhere.
    void settle_attempt(const Spent& spent, shm::Nanos now) noexcept;

    /// It is over: all charges become what was spent by the attempt under way. Once.
    void settle(const Spent& spent, shm::Nanos now) noexcept;

 private:
    /// What a limit is charged in the end for a request that reserved `costs` by `policy`.
    shm::Units units(const Scope& scope, const Costs& costs, CostPolicy policy, bool counted,
                     const Spent& spent) const noexcept;
    void settle_deployment(const Spent& spent, shm::Nanos now) noexcept;
    void settle_caller(const Spent& spent, shm::Nanos now) noexcept;

    RequestSize size_;
    CallerLimits caller_;
    Bill bill_;
    shm::Ticket callers_;  // the first attempt's, once there is another: it has the caller's charges
    Placement placement_;  // the latest attempt's
    bool arrived_ = false;  // any attempt
};

}  // namespace weir::router
