#include "router/observation.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace weir::router {
namespace {

constexpr std::array<std::string_view, 6> kRemaining = {
    "x-ratelimit-remaining-requests",         "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-output-tokens-remaining"};

const Quota& quota_of(const Feedback& feedback, shm::Unit unit) noexcept {
    switch (unit) {
        case shm::Unit::requests: return feedback.requests;
        case shm::Unit::tokens: return feedback.tokens;
        case shm::Unit::input_tokens: return feedback.input_tokens;
        case shm::Unit::output_tokens: return feedback.output_tokens;
    }
    return feedback.requests;
}

/// A 404 may be about what the client has asked for, or because the deployment is set up wrongly. With a
/// wildcard clients choose the model. Otherwise a deployment that serves nobody has a wrong address.
Source source_of(const Outcome& outcome, const Deployment& deployment, std::uint64_t successes) noexcept {
    if (outcome.kind != Kind::not_found) return outcome.source;
    if (deployment.has_wildcard()) return Source::client;
    return successes == 0 ? Source::upstream : outcome.source;
}

}  // namespace

void observe_failure(const Deployment& deployment, CooldownRules rules, const SeenFailure& seen,
                     shm::Nanos now) noexcept {
    const shm::Health health = deployment.health();
    Failure failure;
    failure.outcome = seen.outcome;
    failure.successes = shm::read_health(health, now).successes;
    failure.outcome.source = source_of(seen.outcome, deployment, failure.successes);
    if (!failure.outcome.tells()) return;
    failure.failures = shm::record_failure(health, now);
    if (seen.outcome.kind == Kind::timeout) {
        shm::LatencySample sample{shm::kTimeoutPenalty, {}, seen.latency_memory};
        if (seen.stream) sample.ttft = shm::kTimeoutPenalty;
        shm::record_timeout(health, now, sample);
    }
    failure.only_one = seen.only_one;
    failure.retry_after = seen.retry_after;
    rules.deployment_cooldown_time = deployment.config().cooldown_time;
    if (const auto duration = cooldown_for(rules, failure)) shm::set_cooldown(health, now + *duration);
}

bool tells_quota(const Fields& fields) noexcept {
    return std::any_of(kRemaining.begin(), kRemaining.end(),
                       [&](std::string_view name) { return fields.has(name); });
}

void observe_quota(const Deployment& deployment, CooldownRules rules, const Feedback& feedback,
                   shm::Participant& participant, shm::Nanos now) noexcept {
    rules.deployment_cooldown_time = deployment.config().cooldown_time;
    for (const Scope& scope : deployment.scopes()) {
        const Quota& quota = quota_of(feedback, scope.unit);
        if (quota.remaining) participant.leave_only(scope.limiter, *quota.remaining, now);
    }
    if (const auto duration = cooldown_for_quota(rules, exhausted_for(feedback))) {
        shm::set_cooldown(deployment.health(), now + *duration);
    }
}

}  // namespace weir::router
