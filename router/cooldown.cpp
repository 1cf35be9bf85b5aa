#include "router/cooldown.hpp"

#include <algorithm>

namespace weir::router {
namespace {

/// More than half of at least so many requests a minute.
constexpr std::uint64_t kRateRequests = 5;
/// All of at least so many: even the only deployment of a group is then no loss.
constexpr std::uint64_t kOnlyOneRequests = 1000;

bool exceeds_rate(const Failure& failure) noexcept {
    const std::uint64_t requests = failure.failures + failure.successes;
    if (failure.only_one) return failure.successes == 0 && requests >= kOnlyOneRequests;
    return requests >= kRateRequests && failure.failures > failure.successes;
}

/// Failures that mean more than bad luck: the next request would meet the same.
bool at_once(Kind kind) noexcept {
    return kind == Kind::rate_limited || kind == Kind::auth || kind == Kind::not_found ||
           kind == Kind::timeout;
}

bool is_required(const CooldownRules& rules, const Failure& failure) noexcept {
    if (!failure.outcome.tells()) return false;
    const Kind kind = failure.outcome.kind;
    // The upstream has said when it wants to be asked again.
    if (kind == Kind::rate_limited && failure.retry_after) return true;
    if (const auto allowed = rules.allowed_fails_policy.of(kind))
        return failure.failures > *allowed;
    if (rules.allowed_fails) return failure.failures > *rules.allowed_fails;
    return (at_once(kind) && !failure.only_one) || exceeds_rate(failure);
}

}  // namespace

std::optional<shm::Nanos> cooldown_for(const CooldownRules& rules,
                                       const Failure& failure) noexcept {
    if (rules.disabled || !is_required(rules, failure)) return std::nullopt;
    shm::Nanos time = rules.cooldown_time;
    if (failure.retry_after) time = std::min(*failure.retry_after, kProvidersCooldownMost);
    if (rules.deployment_cooldown_time) time = *rules.deployment_cooldown_time;
    if (time.count() <= 0) return std::nullopt;
    return time;
}

std::optional<shm::Nanos> cooldown_for_quota(const CooldownRules& rules,
                                             std::optional<shm::Nanos> reset) noexcept {
    if (rules.disabled || !reset) return std::nullopt;
    const shm::Nanos most = rules.deployment_cooldown_time.value_or(kProvidersCooldownMost);
    const shm::Nanos time = std::min({*reset, most, kProvidersCooldownMost});
    if (time.count() <= 0) return std::nullopt;
    return time;
}

}  // namespace weir::router
