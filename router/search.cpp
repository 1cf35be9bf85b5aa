#include "router/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <utility>

namespace weir::router {
namespace {

constexpr Outcome kRefused{Kind::rate_limited, Source::none, Retry::no, false};
constexpr Outcome kWrongTags{Kind::bad_request, Source::client, Retry::no, false};
constexpr Outcome kTooLong{Kind::context_window, Source::client, Retry::no, false};

ApiError throttled(shm::Nanos retry_after, std::string message) {
    return {429, std::move(message), "throttling_error", {}, std::max(retry_after, shm::Nanos(1))};
}

ApiError too_long(std::string_view group, shm::Units tokens) {
    return {400,
            fmt::format("The prompt exceeds the context window: no deployment takes its about {} "
                        "tokens. Passed model={}",
                        tokens, group),
            "invalid_request_error", "messages", {}};
}

ApiError wrong_tags(std::string_view group) {
    return {400,
            fmt::format("Not allowed to access model due to tags configuration: no deployment has these "
                        "tags, and none is a default. Passed model={}",
                        group),
            "invalid_request_error", "tags", {}};
}

ApiError all_cooling(std::string_view group, shm::Nanos until) {
    return throttled(until, fmt::format("No deployments available for selected model, all are cooling "
                                        "down, after failures or until a used-up quota is back. "
                                        "Try again in {:.3f} seconds. Passed model={}",
                                        shm::to_seconds(until), group));
}

ApiError others_first(std::string_view group, shm::Nanos until) {
    return throttled(until, fmt::format("Rate limit exceeded: other requests wait for capacity already. "
                                        "Try again in {:.3f} seconds. Passed model={}",
                                        shm::to_seconds(until), group));
}

LaneName lane_of(const Scope& scope) noexcept {
    const auto unit = static_cast<std::uint64_t>(scope.unit);
    return {scope.kind, scope.name, static_cast<std::uint64_t>(scope.window.count()) * 4 + unit};
}

LaneName lane_of(const Hold& hold) noexcept {
    constexpr std::uint64_t kInFlight = 1;  // no window is as short as that
    return {hold.kind, hold.name, kInFlight};
}

}  // namespace

void Search::begin(const Router::Group& group) {
    group_ = &group;
    failed_.clear();
    tags_ = group.by_tags ? TagFilter(router_.config_.tags, terms_.tags) : TagFilter();
    for (const Deployment* deployment : group.deployments) tags_.see(deployment->config().tags);
}

/// Also a request that is refused at once counts as demand for a shared limit.
Outcome Search::take() {
    const Outcome outcome = take_or_queue();
    if (!outcome.ok() && shortage_ && !lacks_lease_) {
        const shm::Wanted wanted(shortage_);
    }
    return outcome;
}

Outcome Search::take_or_queue() {
    shortage_ = {};
    lacks_lease_ = false;
    if (router_.wait_room_.in_use()) {
        now_ = shm::now();
        if (const auto lane = busy_lane(now_)) {
            ready_at_ = std::max(ready_at(now_), now_ + WaitRoom::kLookAgain);
            lane_ = *lane;
            timed_ = false;
            refuse(others_first(group_->name, ready_at_ - now_), true);
            return kRefused;
        }
    }
    return ask(shm::now());
}

Outcome Search::ask(shm::Nanos now) {
    now_ = now;
    caller_refused_ = false;
    lacks_lease_ = false;
    if (router_.coordination_) {
        router_.coordination_->check(now);
        grants_seen_ = router_.coordination_->grants();
    }
    const auto asked = candidates(now);
    if (asked.untagged) {
        refuse(wrong_tags(group_->name), false);
        return kWrongTags;
    }
    if (asked.too_long) {
        refuse(too_long(group_->name, input_tokens()), false);
        return kTooLong;
    }
    if (asked.order.empty()) {
        lane_ = group_lane();
        ready_at_ = router_.cooled_down_at(*group_, tags_);
        timed_ = true;
        refuse(all_cooling(group_->name, ready_at_ - now), true);
        return kRefused;
    }
    NoPlace refusal;
    if (account_.place(router_.segment_, router_.participant_, asked.order, now, refusal)) return {};
    caller_refused_ = refusal.callers;
    note_shortage(refusal);
    lane_ = lane_of(refusal);
    ready_at_ = refusal.retry_after ? now + *refusal.retry_after : now + WaitRoom::kLookAgain;
    timed_ = refusal.retry_after && refusal.scope && refusal.scope->unit == shm::Unit::requests;
    refuse(to_error(refusal, group_->name), refusal.reason != shm::Refused::never_fits);
    return kRefused;
}

void Search::refuse(ApiError error, bool waitable) {
    error_ = std::move(error);
    waitable_ = waitable;
}

void Search::note_shortage(const NoPlace& refusal) {
    shortage_ = refusal.shortage;
    short_at_ = refusal.short_at;
    lacks_lease_ = router_.coordination_ && shortage_ && !shortage_.barren(now_);
}

Task<Outcome> Search::wait_for_lease() {
    Coordination& coordination = *router_.coordination_;
    // The budget is the request's, however many groups it comes to: what has been waited counts.
    const shm::Nanos from = now_ - waited_for_lease_;
    const shm::Nanos deadline = from + coordination.patience();
    std::deque<shm::Wanted> wanted;
    const Deployment* wanted_at = nullptr;
    Outcome outcome = kRefused;
    do {
        // One exchange with the store raises whatever is short, there or where the last one was in vain.
        if (wanted_at != short_at_) {
            wanted_at = short_at_;
            wanted.clear();
            for (const shm::Shortage& limit : account_.shared_limits(*short_at_)) wanted.emplace_back(limit);
        }
        const bool raised = co_await coordination.wait_for_more(grants_seen_, deadline);
        const shm::Nanos now = shm::now();
        waited_for_lease_ = now - from;
        if (!raised) co_return kRefused;
        outcome = ask(now);
    } while (!outcome.ok() && lacks_lease_);
    co_return outcome;
}

bool Search::may_wait(bool has_fallback) const noexcept {
    if (!waitable_ || now_ >= terms_.give_up_at) return false;
    // A request count does not come back early: what is too late now stays too late.
    if (timed_ && ready_at_ > terms_.give_up_at) return false;
    return caller_refused_ || !has_fallback;
}

Task<Outcome> Search::wait() {
    const shm::Nanos from = shm::now();
    const WaitRoom::Stay stay{lane_, terms_.priority, ready_at_, terms_.give_up_at, terms_.owner};
    const WaitRoom::End end = co_await router_.wait_room_.wait(*this, stay);
    waited_ += shm::now() - from;
    switch (end) {
        case WaitRoom::End::placed: co_return Outcome{};
        case WaitRoom::End::deadline:
            error_.message = fmt::format("Gave up after waiting {:.3f} s for capacity. {}",
                                         shm::to_seconds(shm::now() - terms_.began), error_.message);
            break;
        case WaitRoom::End::full:
            error_.message = fmt::format("{} requests wait for capacity already, {} of them of this key, and "
                                         "no more may. {}",
                                         router_.wait_room_.size(), router_.wait_room_.waiting(terms_.owner),
                                         error_.message);
            break;
        case WaitRoom::End::never:
        case WaitRoom::End::left: break;
    }
    co_return kRefused;
}

shm::Nanos Search::ready_at(shm::Nanos now) {
    const auto asked = candidates(now);
    if (asked.too_long || asked.untagged) return now;
    if (asked.order.empty()) return router_.cooled_down_at(*group_, tags_);
    return account_.earliest(router_.participant_, asked.order, now).value_or(now);
}

Guest::Taken Search::take(shm::Nanos now, LaneName& lane, shm::Nanos& ready_at) {
    if (ask(now).ok()) return Taken::yes;
    if (!waitable_) return Taken::never;
    lane = lane_;
    ready_at = ready_at_;
    return Taken::no;
}

Router::Asked Search::candidates(shm::Nanos now) {
    return router_.candidates({*group_, terms_.stream, input_tokens(), tags_, failed_}, now);
}

/// A lane in which somebody waits whom this request would overtake.
std::optional<LaneName> Search::busy_lane(shm::Nanos now) const {
    const auto busy = [&](const LaneName& lane) {
        return router_.wait_room_.has_ahead(lane, terms_.priority, now);
    };
    const CallerLimits caller = account_.unpaid();
    for (const Scope* scope : caller.scopes) {
        if (const LaneName lane = router::lane_of(*scope); busy(lane)) return lane;
    }
    for (const Hold* hold : caller.holds) {
        if (const LaneName lane = router::lane_of(*hold); busy(lane)) return lane;
    }
    if (busy(group_lane())) return group_lane();
    return std::nullopt;
}

/// Where limits are shared, or deployments chosen by tags, who waits for its own share or its own
/// deployments does not hold up others.
LaneName Search::group_lane() const noexcept {
    const std::hash<std::string_view> hash;
    std::uint64_t detail = router_.config_.priorities.shares.empty() ? 0 : hash(account_.unpaid().priority);
    if (router_.config_.tags.enabled && group_->by_tags) {
        for (const std::string& tag : terms_.tags) detail = detail * 31 + hash(tag);
    }
    return {"group", group_->name, detail};
}

LaneName Search::lane_of(const NoPlace& refusal) const noexcept {
    if (refusal.callers && refusal.scope) return router::lane_of(*refusal.scope);
    if (refusal.callers && refusal.hold) return router::lane_of(*refusal.hold);
    return group_lane();
}

}  // namespace weir::router
