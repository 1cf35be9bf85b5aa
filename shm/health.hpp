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
    Nanos latency_avg{};        ///< moving average, weight 1/8; 0: no sample, or none of late
    Nanos ttft_avg{};           ///< time to the first token of streams, likewise
    std::uint64_t samples = 0;  ///< latencies ever recorded
    Nanos last_failure{};       ///< 0: never
};

/// How long an average of latencies is remembered after its latest sample, where nothing else is said. What
/// is slow is asked no more, so without an end it would never be found to have become fast.
inline constexpr Nanos kLatencyMemory = std::chrono::hours(1);

/// What a timeout counts as among the latencies: more than any answer that anybody waits for.
inline constexpr Nanos kTimeoutPenalty = std::chrono::seconds(1000);

/// Takes the deployment out of service until `until`, unless it is out for longer already.
void set_cooldown(Health health, Nanos until) noexcept;

/// Puts it back into service at once.
void clear_cooldown(Health health) noexcept;

/// 0 if there is none.
Nanos cooldown_until(Health health) noexcept;

/// A latency, of resolution 1 us, and how long an average may be without a sample and still count.
struct LatencySample {
    Nanos latency{};
    std::optional<Nanos> ttft{};  ///< the time to the first token; of streams only
    Nanos memory = kLatencyMemory;
};

/// An answer came.
void record_success(Health health, Nanos now, const LatencySample& sample) noexcept;

/// The deployment failed to answer. Returns the failures of the last 60 s, this one included.
std::uint64_t record_failure(Health health, Nanos now) noexcept;

/// An answer did not come in time, which is to be recorded as a failure besides. `sample` is what it counts
/// as: kTimeoutPenalty.
void record_timeout(Health health, Nanos now, const LatencySample& sample) noexcept;

/// `memory` as in LatencySample.
HealthSnapshot read_health(Health health, Nanos now, Nanos memory = kLatencyMemory) noexcept;

/// What one answer's `usage` said about the request that it answers. 0: it did not say.
struct TokenUsage {
    std::uint64_t prompt_bytes = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
};

/// What is known of a model: moving averages, weight 1/16.
struct LearnedEstimate {
    double bytes_per_prompt_token = 0;  ///< 0 while nothing is known of it
    double completion_tokens = 0;       ///< of one completion; likewise
    std::uint64_t samples = 0;          ///< answers from which either was learned
};

/// Learns from one answer, of prompts and of completions each on its own: a prompt without text teaches
/// how long completions are all the same.
void learn(Health model, const TokenUsage& usage) noexcept;

LearnedEstimate learned(Health model) noexcept;

}  // namespace weir::shm
