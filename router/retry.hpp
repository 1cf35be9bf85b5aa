// Whether and when a failed attempt is tried again in its model group: LiteLLM's rules.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>

#include "router/outcome.hpp"
#include "router/strategy.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// Numbers by class of failure, for `retry_policy` and `allowed_fails_policy`. What is not set
/// follows the general number.
struct PerKind {
    std::optional<std::uint32_t> bad_request;
    std::optional<std::uint32_t> auth;
    std::optional<std::uint32_t> timeout;
    std::optional<std::uint32_t> rate_limit;
    std::optional<std::uint32_t> content_policy;
    std::optional<std::uint32_t> server_error;

    /// What is set for failures of `kind`. Connections count as server errors, a prompt that is too
    /// long as a bad request.
    std::optional<std::uint32_t> of(Kind kind) const noexcept;
    bool any() const noexcept;
};

struct RetryRules {
    std::uint32_t num_retries = 2;
    PerKind policy;           ///< retry_policy
    shm::Nanos least_wait{};  ///< retry_after: the least time to wait before a retry at the same
                              ///< deployment
};

/// The circumstances of a failure.
struct FailedAttempt {
    Outcome outcome;
    std::uint32_t retries_done = 0;  ///< in this model group
    bool others_available = false;   ///< another deployment of the group is not cooling down
    bool has_fallback = false;       ///< another model group may answer instead
};

/// Whether to try again. Never once bytes of an answer have gone to the client: that is the
/// caller's to know.
bool may_retry(const RetryRules& rules, const FailedAttempt& attempt) noexcept;

/// How long to wait before: not at all if another deployment can be asked; what the upstream asked
/// for, up to 60 s; else 0.5 s doubled with every retry, up to 8 s. Up to 0.75 s of chance is
/// added, so that processes do not come back in step.
shm::Nanos retry_delay(const RetryRules& rules, const FailedAttempt& attempt,
                       std::optional<shm::Nanos> retry_after, RandomSource random) noexcept;

}  // namespace weir::router
