// Whether a failure takes its deployment out of service, and for how long: LiteLLM's rules, on
// counts that all processes share.
//
// A group's only deployment stays in service through most failures, for without it nobody is served
// at all; see docs/litellm.md for this and the other deviations.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>

#include "router/outcome.hpp"
#include "router/retry.hpp"
#include "shm/clock.hpp"
#include "shm/health.hpp"

namespace weir::router {

struct CooldownRules {
    bool disabled = false;  ///< disable_cooldowns
    std::optional<std::uint32_t>
        allowed_fails;             ///< failures a minute that are tolerated; replaces the rates
    PerKind allowed_fails_policy;  ///< the same by class
    shm::Nanos cooldown_time = std::chrono::seconds(5);
    std::optional<shm::Nanos> deployment_cooldown_time;  ///< of a failure: Retry-After included; 0: never
};

/// One failure and what surrounds it.
struct Failure {
    Outcome outcome;
    std::uint64_t failures = 1;   ///< of this deployment in the last minute, this one included
    std::uint64_t successes = 0;  ///< likewise
    bool only_one = false;        ///< the only deployment of its group
    std::optional<shm::Nanos>
        retry_after;  ///< as the upstream said, or until its exhausted quota is back
};

/// What a provider says is believed for so long at most: one header, perhaps mistaken, must not take a
/// deployment out of service for days. The next answer renews it.
constexpr shm::Nanos kProvidersCooldownMost = std::chrono::hours(1);

/// For how long to cool down; empty: not at all.
std::optional<shm::Nanos> cooldown_for(const CooldownRules& rules, const Failure& failure) noexcept;

/// For how long to cool down because the upstream has said that a quota is used up until `reset` from
/// now; empty: not at all. Nothing has failed, so the deployment's own time only makes it shorter.
std::optional<shm::Nanos> cooldown_for_quota(const CooldownRules& rules,
                                             std::optional<shm::Nanos> reset) noexcept;

}  // namespace weir::router
