// What an attempt has shown about its deployment, told to all processes through the segment: that it
// failed, that it is to be left alone for a while, that somebody else uses its quota too.
//
// Thread safety: none; it acts for one Participant.
#pragma once

#include <optional>

#include "router/cooldown.hpp"
#include "router/deployment.hpp"
#include "router/feedback.hpp"
#include "router/outcome.hpp"
#include "shm/participant.hpp"

namespace weir::router {

/// A failed attempt.
struct SeenFailure {
    Outcome outcome;
    bool only_one = false;                  ///< the only deployment of its group
    std::optional<shm::Nanos> retry_after;  ///< as the upstream said, from now
    bool stream = false;
    shm::Nanos latency_memory = shm::kLatencyMemory;  ///< see RouterConfig
};

/// Counts the failure, a timeout among the latencies, too, and takes the deployment out of service if
/// `rules` say so. What is the client's fault, or our own, says nothing about the deployment and does none of
/// that.
void observe_failure(const Deployment& deployment, CooldownRules rules, const SeenFailure& failure,
                     shm::Nanos now) noexcept;

/// Whether an answer says anything about quotas: cheap, for every answer.
bool tells_quota(const Fields& fields) noexcept;

/// What the upstream says is left of its quotas counts everybody who uses them. Where that is less
/// than what is left by our count somebody else has used the difference: it is charged, so that all
/// processes respect it. A quota at 0 takes the deployment out of service, if `rules` allow that.
void observe_quota(const Deployment& deployment, CooldownRules rules, const Feedback& feedback,
                   shm::Participant& participant, shm::Nanos now) noexcept;

}  // namespace weir::router
