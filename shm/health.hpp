// The health of a deployment, in words that every process of the host sees at once; and what has
// been learned of a model from the usage that its answers reported.
//
// Thread and process safety: all of it, lock-free. Every loop is bounded; an update that loses more
// often than that against other processes is dropped, for the next one says nearly the same.
// Nothing allocates or calls the system. A default-constructed handle is accepted everywhere and
// does nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/clock.hpp"
#include "shm/limiter.hpp"

namespace weir::shm {

/// A deployment as all processes see it. Counts are over the last 60 s, in steps of 5 s.
struct HealthSnapshot {
    Nanos cooldown_until{};  ///< CLOCK_MONOTONIC; 0 or past: not cooling down
    std::uint64_t failures = 0;
    std::uint64_t successes = 0;
    std::uint64_t failures_in_a_row = 0;
    Nanos latency_avg{};        ///< moving average, weight 1/8; 0 before the first sample
    Nanos ttft_avg{};           ///< time to the first token, likewise
    std::uint64_t samples = 0;  ///< latencies ever recorded
    Nanos last_failure{};       ///< 0: never
};

/// Takes the deployment out of service until `until`, unless it is out for longer already.
void set_cooldown(Health health, Nanos until) noexcept;

/// Puts it back into service at once.
void clear_cooldown(Health health) noexcept;

/// 0 if there is none.
Nanos cooldown_until(Health health) noexcept;

/// An answer came. `ttft` is the time to its first token, where that was measured.
void record_success(Health health, Nanos now, Nanos latency,
                    std::optional<Nanos> ttft = std::nullopt) noexcept;

/// The deployment failed to answer. Returns the failures of the last 60 s, this one included.
std::uint64_t record_failure(Health health, Nanos now) noexcept;

HealthSnapshot read_health(Health health, Nanos now) noexcept;

/// What one answer's `usage` said about the request that it answers.
struct TokenUsage {
    std::uint64_t prompt_bytes = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
};

/// What is known of a model: moving averages, weight 1/16.
struct LearnedEstimate {
    double bytes_per_prompt_token = 0;  ///< 0 while samples is 0
    double completion_tokens = 0;
    std::uint64_t samples = 0;
};

/// Learns from one answer. Ignored unless it has prompt bytes and prompt tokens.
void learn(Health model, const TokenUsage& usage) noexcept;

LearnedEstimate learned(Health model) noexcept;

}  // namespace weir::shm
