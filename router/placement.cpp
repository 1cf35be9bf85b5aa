#include "router/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace weir::router {
namespace {

/// What one deployment is asked for, laid out as the segment wants it.
class Asked {
 public:
    Asked(Deployment& deployment, const CallerLimits& caller, const Bill& bill) {
        const Costs& costs = bill.deployment[static_cast<std::size_t>(deployment.cost_policy())];
        for (Scope* scope : caller.scopes) add(*scope, bill.caller);
        for (Scope& scope : deployment.scopes()) add(scope, costs);
        for (const shm::Gauge& hold : caller.holds) {
            if (holds_count_ < holds_.size()) holds_[holds_count_++] = hold;
        }
        if (holds_count_ < holds_.size()) holds_[holds_count_++] = deployment.in_flight();
    }

    shm::Demand demand() const {
        return {{charges_.data(), charges_count_}, {holds_.data(), holds_count_}};
    }
    Scope& scope(std::size_t index) const { return *scopes_[index]; }
    shm::Gauge hold(std::size_t index) const { return holds_[index]; }

 private:
    void add(Scope& scope, const Costs& costs) {
        if (charges_count_ == charges_.size()) return;
        scopes_[charges_count_] = &scope;
        charges_[charges_count_++] = {scope.limiter, reserved_for(scope, costs)};
    }

    std::array<shm::Charge, shm::kScopesMax> charges_;
    std::array<Scope*, shm::kScopesMax> scopes_;
    std::array<shm::Gauge, shm::kScopesMax> holds_;
    std::size_t charges_count_ = 0;
    std::size_t holds_count_ = 0;
};

/// Asks once more after an eviction: the limiter of a name is made anew where it is missing.
shm::Admission admit(shm::Segment& segment, shm::Participant& participant, Deployment& deployment,
                     const CallerLimits& caller, const Bill& bill, shm::Nanos now) {
    shm::Admission admission =
        participant.admit(Asked(deployment, caller, bill).demand(), now);
    if (admission.admitted() || admission.refusal.reason != shm::Refused::evicted) return admission;
    for (Scope* scope : caller.scopes) scope->look_up(segment);
    deployment.look_up(segment);
    return participant.admit(Asked(deployment, caller, bill).demand(), now);
}

void note(const shm::Refusal& why, const Asked& asked, shm::Participant& participant, shm::Nanos now,
          NoPlace& refusal, bool first) {
    const auto at = participant.earliest(asked.demand(), now);
    const bool sooner = at && (!refusal.retry_after || *at - now < *refusal.retry_after);
    const bool hopeful = refusal.reason == shm::Refused::never_fits && why.reason != refusal.reason;
    if (first || sooner || hopeful) {
        refusal.reason = why.reason;
        refusal.scope = why.in_holds ? nullptr : &asked.scope(why.index);
        refusal.hold = why.in_holds ? asked.hold(why.index) : shm::Gauge{};
    }
    if (sooner) refusal.retry_after = *at - now;
}

std::string_view unit_name(shm::Unit unit) {
    switch (unit) {
        case shm::Unit::requests: return "requests";
        case shm::Unit::tokens: return "tokens";
        case shm::Unit::input_tokens: return "input tokens";
        case shm::Unit::output_tokens: return "output tokens";
    }
    return "units";
}

/// Stands for a deployment without limits.
constexpr std::uint64_t kPlacesMost = 1'000'000;

double seconds(shm::Nanos duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Bill Bill::estimate(const RequestSize& size, const shm::LearnedEstimate& learned) noexcept {
    Bill bill;
    for (std::size_t i = 0; i < bill.deployment.size(); ++i) {
        bill.deployment[i] = estimate_costs(size, learned, static_cast<CostPolicy>(i));
    }
    bill.caller = bill.deployment[static_cast<std::size_t>(CostPolicy::sum)];
    return bill;
}

Placement place(shm::Segment& segment, shm::Participant& participant,
                std::span<Deployment* const> candidates, const CallerLimits& caller,
                const Bill& bill, shm::Nanos now, NoPlace& refusal) {
    bool first = true;
    for (Deployment* deployment : candidates) {
        auto admission = admit(segment, participant, *deployment, caller, bill, now);
        if (admission.admitted()) return {deployment, std::move(admission.ticket), caller.scopes.size()};
        note(admission.refusal, Asked(*deployment, caller, bill), participant, now, refusal, first);
        first = false;
        refusal.callers = admission.refusal.in_holds
                              ? admission.refusal.index < caller.holds.size()
                              : admission.refusal.index < caller.scopes.size();
        if (refusal.callers) break;  // no other deployment changes what the caller may use
    }
    return {};
}

std::optional<shm::Nanos> earliest_place(const shm::Participant& participant,
                                         std::span<Deployment* const> candidates,
                                         const CallerLimits& caller, const Bill& bill,
                                         shm::Nanos now) {
    std::optional<shm::Nanos> soonest;
    for (Deployment* deployment : candidates) {
        const auto at = participant.earliest(Asked(*deployment, caller, bill).demand(), now);
        if (at && (!soonest || *at < *soonest)) soonest = at;
    }
    return soonest;
}

std::uint64_t places_left(const shm::Participant& participant,
                          std::span<Deployment* const> candidates, const CallerLimits& caller,
                          const Bill& bill, shm::Nanos now) {
    const auto under = [&](const Scope& scope, const Costs& costs, std::uint64_t so_far) {
        const shm::Units each = reserved_for(scope, costs);
        if (each == 0) return so_far;
        return std::min(so_far, participant.usage(scope.limiter, now).remaining / each);
    };
    std::uint64_t sum = 0;
    for (const Deployment* deployment : candidates) {
        std::uint64_t places = kPlacesMost;
        for (const Scope& scope : deployment->scopes()) {
            places = under(scope, bill.deployment[static_cast<std::size_t>(deployment->cost_policy())],
                           places);
        }
        if (const auto most = deployment->config().max_parallel_requests) {
            const auto running = participant.in_flight(deployment->in_flight());
            places = std::min(places, *most - std::min(*most, running));
        }
        sum += places;
    }
    for (const Scope* scope : caller.scopes) sum = under(*scope, bill.caller, sum);
    return sum;
}

ApiError to_error(const NoPlace& refusal, std::string_view model) {
    ApiError error;
    error.type = "throttling_error";
    error.status = 429;
    error.retry_after = refusal.retry_after;
    std::string what;
    if (refusal.scope == nullptr) {
        what = "too many requests in flight";
    } else {
        const Scope& scope = *refusal.scope;
        what = fmt::format("{} '{}' allows {} {} in {:g} s", scope.kind, scope.name, scope.limit,
                           unit_name(scope.unit), seconds(scope.window));
    }
    if (refusal.reason == shm::Refused::never_fits) {
        error.status = 400;
        error.type = "invalid_request_error";
        error.message = fmt::format("This request can never pass: {}, and it needs more. Passed model={}",
                                    what, model);
    } else if (refusal.retry_after) {
        error.message = fmt::format("Rate limit exceeded: {}. Try again in {:.3f} seconds. Passed model={}",
                                    what, seconds(*refusal.retry_after), model);
    } else {
        error.message = fmt::format("Rate limit exceeded: {}. Passed model={}", what, model);
    }
    return error;
}

}  // namespace weir::router
