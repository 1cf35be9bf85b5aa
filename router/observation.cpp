#include "router/observation.hpp"

namespace weir::router {
namespace {

const Quota& quota_of(const Feedback& feedback, shm::Unit unit) noexcept {
    switch (unit) {
        case shm::Unit::requests: return feedback.requests;
        case shm::Unit::tokens: return feedback.tokens;
        case shm::Unit::input_tokens: return feedback.input_tokens;
        case shm::Unit::output_tokens: return feedback.output_tokens;
    }
    return feedback.requests;
}

}  // namespace

void observe_failure(const Deployment& deployment, CooldownRules rules, const SeenFailure& seen,
                     shm::Nanos now) noexcept {
    const shm::Health health = deployment.health();
    Failure failure;
    failure.outcome = seen.outcome;
    failure.failures = shm::record_failure(health, now);
    failure.successes = shm::read_health(health, now).successes;
    failure.only_one = seen.only_one;
    failure.retry_after = seen.retry_after;
    rules.deployment_cooldown_time = deployment.config().cooldown_time;
    if (const auto duration = cooldown_for(rules, failure)) shm::set_cooldown(health, now + *duration);
}

bool tells_quota(const Fields& fields) noexcept {
    return fields.has("x-ratelimit-remaining-requests") || fields.has("x-ratelimit-remaining-tokens") ||
           fields.has("anthropic-ratelimit-requests-remaining");
}

void observe_quota(const Deployment& deployment, const CooldownRules& rules, const Feedback& feedback,
                   shm::Participant& participant, shm::Nanos now) noexcept {
    for (const Scope& scope : deployment.scopes()) {
        const Quota& quota = quota_of(feedback, scope.unit);
        if (quota.remaining) participant.leave_only(scope.limiter, *quota.remaining, now);
    }
    if (const auto duration = cooldown_for_quota(rules, exhausted_for(feedback))) {
        shm::set_cooldown(deployment.health(), now + *duration);
    }
}

}  // namespace weir::router
