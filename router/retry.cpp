#include "router/retry.hpp"

#include <algorithm>

namespace weir::router {
namespace {

using namespace std::chrono_literals;

constexpr shm::Nanos kFirstWait = 500ms;
constexpr shm::Nanos kLongestBackoff = 8s;
constexpr shm::Nanos kLongestRetryAfter = 60s;
constexpr shm::Nanos kJitter = 750ms;

}  // namespace

std::optional<std::uint32_t> PerKind::of(Kind kind) const noexcept {
    switch (kind) {
        case Kind::bad_request:
        case Kind::context_window:
            return bad_request;
        case Kind::auth:
            return auth;
        case Kind::timeout:
            return timeout;
        case Kind::rate_limited:
            return rate_limit;
        case Kind::content_policy:
            return content_policy;
        case Kind::overloaded:
        case Kind::server_error:
        case Kind::connection:
            return server_error;
        case Kind::ok:
        case Kind::not_found:
        case Kind::conflict:
            break;
    }
    return std::nullopt;
}

bool PerKind::any() const noexcept {
    return bad_request || auth || timeout || rate_limit || content_policy || server_error;
}

bool may_retry(const RetryRules& rules, const FailedAttempt& attempt) noexcept {
    const Outcome& outcome = attempt.outcome;
    if (outcome.ok() || outcome.kind == Kind::not_found) return false;
    const auto set = rules.policy.of(outcome.kind);
    if (attempt.retries_done >= set.value_or(rules.num_retries)) return false;
    switch (outcome.retry) {
        case Retry::anywhere:
            break;
        case Retry::elsewhere:
            return attempt.others_available;
        case Retry::no:
            return set.has_value();  // only because the configuration says so
    }
    // Waiting for the same full upstream would be in vain when there is somewhere else to go.
    const bool full = outcome.kind == Kind::rate_limited && !attempt.others_available;
    return !(full && attempt.has_fallback);
}

shm::Nanos retry_delay(const RetryRules& rules, const FailedAttempt& attempt,
                       std::optional<shm::Nanos> retry_after, RandomSource random) noexcept {
    if (attempt.others_available) return {};
    const shm::Nanos jitter(
        static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(kJitter.count())));
    shm::Nanos wait = kLongestBackoff;
    if (retry_after && *retry_after > 0s && *retry_after <= kLongestRetryAfter) {
        wait = *retry_after;
    } else if (attempt.retries_done < 4) {  // 0.5 s * 2^4 is the longest
        wait = kFirstWait * (1 << attempt.retries_done);
    }
    return std::max(wait, rules.least_wait) + jitter;
}

}  // namespace weir::router
