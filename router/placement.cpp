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
    Asked(Deployment& deployment, const CallerLimits& caller, const Bill& bill)
        : fits_(caller.scopes.size() + deployment.windows() <= shm::kScopesMax &&
                caller.holds.size() < shm::kScopesMax) {
        if (!fits_) return;
        share_ = deployment.share(caller.priority);
        const Costs costs = bill.deployment(deployment.cost_policy());
        for (Scope* scope : caller.scopes) add(*scope, bill.caller());
        deployments_ = charges_count_;
        for (Scope& scope : deployment.scopes()) add(scope, costs);
        for (std::size_t i = 0; share_ != nullptr && i < share_->scopes.size(); ++i) {
            scopes_[charges_count_] = &share_->scopes[i];
            charges_[charges_count_++] = {share_->scopes[i].limiter, charges_[deployments_ + i].units};
        }
        tally_ = charges_count_;
        if (Scope* tally = deployment.tally()) add(*tally, Costs{});  // asks for nothing: it cannot refuse
        for (const Hold* hold : caller.holds) add(*hold);
        add(deployment.hold());
    }

    /// Whether one decision can span it. If not, it is empty: a limit that is left out would be none.
    bool fits() const noexcept { return fits_; }

    shm::Demand demand() const {
        return {{charges_.data(), charges_count_}, {gauges_.data(), holds_count_}};
    }
    std::size_t tally() const noexcept { return tally_; }
    Scope& scope(std::size_t index) const { return *scopes_[index]; }
    const Hold& hold(std::size_t index) const { return *holds_[index]; }
    shm::Shortage shortage(const shm::Refusal& why) const {
        if (why.in_holds) return shm::Shortage(gauges_[why.index]);
        return shm::Shortage(charges_[why.index].limiter, charges_[why.index].units);
    }

    std::vector<shm::Shortage> shared_limits() const {
        std::vector<shm::Shortage> shared;
        const auto add = [&](const shm::Shortage& limit) {
            if (limit) shared.push_back(limit);
        };
        for (std::size_t i = 0; i < charges_count_; ++i) {
            if (charges_[i].units != 0) add(shm::Shortage(charges_[i].limiter, charges_[i].units));
        }
        for (std::size_t i = 0; i < holds_count_; ++i) add(shm::Shortage(gauges_[i]));
        return shared;
    }

    /// The first limit of which the caller's priority must not take as much now: its place among the
    /// charges, and whether it never may.
    struct ShareRefusal {
        std::size_t index;
        bool never;
    };
    std::optional<ShareRefusal> refused_by_share(const shm::Participant& participant,
                                                 shm::Nanos now) const {
        for (std::size_t i = 0; share_ != nullptr && i < share_->scopes.size(); ++i) {
            const Scope& scope = *scopes_[deployments_ + i];
            const shm::Units units = charges_[deployments_ + i].units;
            const ShareView view{scope.limit, participant.look(scope.limiter, now).used,
                                 participant.look(share_->scopes[i].limiter, now).used, units};
            if (units == 0 || share_allows(share_->rule, view)) continue;
            return ShareRefusal{deployments_ + i,
                                !share_allows(share_->rule, {scope.limit, 0, 0, units})};
        }
        return std::nullopt;
    }

    /// When all of it would pass, `now` or later; empty if never, or if nobody knows.
    std::optional<shm::Nanos> earliest(const shm::Participant& participant, shm::Nanos now) const {
        auto latest = participant.earliest(demand(), now);
        for (std::size_t i = 0; latest && share_ != nullptr && i < share_->scopes.size(); ++i) {
            const Scope& scope = *scopes_[deployments_ + i];
            const shm::Units units = charges_[deployments_ + i].units;
            if (units == 0) continue;
            const auto own = earliest_below(participant, share_->scopes[i], units,
                                            reserved_units(scope.limit, share_->rule.share), now);
            const auto borrowed = earliest_below(
                participant, scope, units, reserved_units(scope.limit, share_->rule.threshold), now);
            if (!own && !borrowed) return std::nullopt;
            const shm::Nanos soonest = std::min(own.value_or(kNever), borrowed.value_or(kNever));
            latest = std::max(*latest, soonest);
        }
        return latest;
    }

 private:
    /// When `units` more would leave `scope` at `most` or below: asking for as much more as its limit is
    /// above that comes to the same.
    static std::optional<shm::Nanos> earliest_below(const shm::Participant& participant,
                                                    const Scope& scope, shm::Units units,
                                                    shm::Units most, shm::Nanos now) {
        const shm::Charge charge{scope.limiter, units + (scope.limit - most)};
        return participant.earliest({{&charge, 1}, {}}, now);
    }

    void add(Scope& scope, const Costs& costs) {
        scopes_[charges_count_] = &scope;
        charges_[charges_count_++] = {scope.limiter, reserved_for(scope, costs)};
    }

    void add(const Hold& hold) {
        holds_[holds_count_] = &hold;
        gauges_[holds_count_++] = hold.gauge;
    }

    bool fits_;
    Deployment::Share* share_ = nullptr;
    std::array<shm::Charge, shm::kScopesMax> charges_;
    std::array<Scope*, shm::kScopesMax> scopes_;
    std::array<shm::Gauge, shm::kScopesMax> gauges_;
    std::array<const Hold*, shm::kScopesMax> holds_;
    std::size_t charges_count_ = 0;
    std::size_t holds_count_ = 0;
    std::size_t deployments_ = 0;  // the first of the deployment's charges
    std::size_t tally_ = 0;        // the place of its tally among them, if it has one
};

/// After an eviction: what a name stands for is made anew where it is missing. False if the segment has no
/// room for all of it.
bool look_up(shm::Segment& segment, Deployment& deployment, const CallerLimits& caller) {
    try {
        for (Scope* scope : caller.scopes) scope->look_up(segment);
        for (Hold* hold : caller.holds) hold->look_up(segment);
        deployment.look_up(segment);
        return true;
    } catch (const shm::DirectoryFull&) {
        return false;
    }
}

/// Keeps the refusal that is worth telling: of the deployment that would pass the soonest.
void note(NoPlace why, const Asked& asked, const shm::Participant& participant, shm::Nanos now,
          NoPlace& refusal, bool first) {
    const auto at = asked.earliest(participant, now);
    const auto so_far = refusal.retry_after;
    const bool sooner = at && (!so_far || *at - now < *so_far);
    const bool hopeful = refusal.reason == shm::Refused::never_fits && why.reason != refusal.reason;
    if (refusal.shortage && !refusal.shortage.barren(now)) {
        why.shortage = refusal.shortage;
        why.short_at = refusal.short_at;
    }
    refusal.shortage = why.shortage;
    refusal.short_at = why.short_at;
    if (first || sooner || hopeful || why.callers) refusal = why;
    refusal.retry_after = sooner ? std::optional(*at - now) : so_far;
}

/// What the request is expected to use is counted at once: requests of the same moment must not all go
/// where the least was used before them.
Placement taken(Deployment& deployment, shm::Ticket ticket, const CallerLimits& caller, std::size_t tally,
                const Bill& bill, shm::Nanos now) {
    if (const Scope* count = deployment.tally()) {
        ticket.settle(tally, reserved_for(*count, bill.caller()), now);
    }
    return {&deployment, std::move(ticket), caller.scopes.size(), tally};
}

/// Nobody has used too much: a limit cannot be kept, and a request that it should count is not sent.
bool unkept(shm::Refused reason) noexcept {
    return reason == shm::Refused::evicted || reason == shm::Refused::corrupt;
}

NoPlace no_place(const shm::Refusal& why, const Asked& asked, Deployment& deployment,
                 const CallerLimits& caller) {
    NoPlace refusal;
    refusal.reason = why.reason;
    refusal.callers = why.index < (why.in_holds ? caller.holds.size() : caller.scopes.size());
    if (unkept(why.reason)) return refusal;
    if (why.in_holds) {
        refusal.hold = &asked.hold(why.index);
    } else {
        refusal.scope = &asked.scope(why.index);
    }
    refusal.shortage = asked.shortage(why);
    refusal.short_at = &deployment;
    return refusal;
}

/// "requests", "input tokens".
std::string in_words(shm::Unit unit) {
    std::string words = shm::unit_name(unit);
    std::replace(words.begin(), words.end(), '_', ' ');
    return words;
}

/// The limit that refused, and how much it allows.
std::string which_limit(const NoPlace& refusal) {
    if (refusal.scope != nullptr) {
        const Scope& scope = *refusal.scope;
        return fmt::format("{} '{}' allows {} {} in {:g} s{}", scope.kind, scope.name, scope.limit,
                           in_words(scope.unit), shm::to_seconds(scope.window),
                           refusal.by_share ? ", and this priority has had its share" : "");
    }
    const Hold& hold = *refusal.hold;
    return fmt::format("too many requests in flight: {} '{}' allows {}", hold.kind, hold.name, hold.max);
}

}  // namespace

Placement place(shm::Segment& segment, shm::Participant& participant,
                std::span<Deployment* const> candidates, const CallerLimits& caller,
                const Bill& bill, shm::Nanos now, NoPlace& refusal) {
    bool first = true;
    for (Deployment* deployment : candidates) {
        Asked asked(*deployment, caller, bill);
        if (!asked.fits()) {
            refusal.reason = shm::Refused::never_fits;
            refusal.too_many = true;
            return {};
        }
        if (const auto by_share = asked.refused_by_share(participant, now)) {
            NoPlace why;
            why.reason = by_share->never ? shm::Refused::never_fits : shm::Refused::over_limit;
            why.scope = &asked.scope(by_share->index);
            why.by_share = true;
            note(why, asked, participant, now, refusal, first);
            first = false;
            continue;
        }
        auto admission = participant.admit(asked.demand(), now);
        if (!admission.admitted() && admission.refusal.reason == shm::Refused::evicted &&
            look_up(segment, *deployment, caller)) {
            asked = Asked(*deployment, caller, bill);
            admission = participant.admit(asked.demand(), now);
        }
        if (admission.admitted()) {
            return taken(*deployment, std::move(admission.ticket), caller, asked.tally(), bill, now);
        }
        const NoPlace why = no_place(admission.refusal, asked, *deployment, caller);
        note(why, asked, participant, now, refusal, first);
        first = false;
        if (refusal.callers) break;  // no other deployment changes what the caller may use
    }
    return {};
}

std::vector<shm::Shortage> shared_limits(Deployment& deployment, const CallerLimits& caller,
                                         const Bill& bill) {
    return Asked(deployment, caller, bill).shared_limits();
}

std::optional<shm::Nanos> earliest_place(const shm::Participant& participant,
                                         std::span<Deployment* const> candidates,
                                         const CallerLimits& caller, const Bill& bill,
                                         shm::Nanos now) {
    std::optional<shm::Nanos> soonest;
    for (Deployment* deployment : candidates) {
        const auto at = Asked(*deployment, caller, bill).earliest(participant, now);
        if (at && (!soonest || *at < *soonest)) soonest = at;
    }
    return soonest;
}

ApiError no_room() {
    return {503, "No room for another limit; see segment_size.", "overloaded_error", {}, {}};
}

ApiError to_error(const NoPlace& refusal, std::string_view model) {
    if (refusal.reason == shm::Refused::evicted) return no_room();
    if (refusal.reason == shm::Refused::corrupt) {
        return {503, "A limit cannot be kept: its words in the segment make no sense.",
                "overloaded_error", {}, {}};
    }
    if (refusal.too_many) {
        return {500, fmt::format("This request counts under more limits than can be asked at once, {}.",
                                 shm::kScopesMax),
                "internal_server_error", {}, {}};
    }
    ApiError error;
    error.type = "throttling_error";
    error.status = 429;
    error.retry_after = refusal.retry_after;
    const std::string what = which_limit(refusal);
    if (refusal.reason == shm::Refused::never_fits) {
        error.status = 400;
        error.type = "invalid_request_error";
        error.message = fmt::format("This request can never pass: {}, and it needs more. Passed model={}",
                                    what, model);
    } else if (refusal.retry_after) {
        error.message = fmt::format("Rate limit exceeded: {}. Try again in {:.3f} seconds. Passed model={}",
                                    what, shm::to_seconds(*refusal.retry_after), model);
    } else {
        error.message = fmt::format("Rate limit exceeded: {}. Passed model={}", what, model);
    }
    return error;
}

}  // namespace weir::router
