#include "shm/health.hpp"

#include <algorithm>

#include "shm/layout.hpp"

namespace weir::shm {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(health): each word stands on its own

/// An update that loses this often is dropped.
constexpr int kTriesMax = 64;

constexpr std::uint64_t kBucketNs = 5'000'000'000;
constexpr std::uint64_t kBucketsCounted = 12;  // 60 s
constexpr unsigned kCountBits = 20;
constexpr std::uint64_t kCountMax = (1u << kCountBits) - 1;
constexpr std::uint64_t kFixedPoint = 1024;
constexpr std::uint64_t kTickMask = (std::uint64_t{1} << (64 - 2 * kCountBits)) - 1;

// A latency, or a count of tokens, beyond these is an error of its source.
constexpr std::uint64_t kLatencyMaxUs = 86'400'000'000;
constexpr std::uint64_t kTokensMax = 100'000'000;

bool lives(Health health) noexcept {
    // ORDER(life): acquire; pairs with the release that made the record live.
    return health && health.record->life.load(std::memory_order_acquire) == health.generation;
}

/// Replaces a word by `change` of it, if it can be done in a bounded number of tries.
template <class Change>
std::uint64_t update(Word& word, Change change) noexcept {
    std::uint64_t found = word.load(kRelaxed);  // ORDER(health)
    for (int attempt = 0; attempt < kTriesMax; ++attempt) {
        const std::uint64_t wanted = change(found);
        if (word.cas(found, wanted, kRelaxed, kRelaxed)) return wanted;  // ORDER(health)
    }
    return found;
}

/// An average, moved by 1/`weight` of the way to `sample`; the first sample is the average. It is never 0
/// once there is one.
std::uint64_t moved(std::uint64_t old, std::uint64_t sample, std::uint64_t weight) noexcept {
    if (old == 0) return std::max<std::uint64_t>(sample, 1);
    const std::uint64_t step = (sample > old ? sample - old : old - sample) / weight;
    return std::max<std::uint64_t>(sample > old ? old + step : old - step, 1);
}

void average(Word& word, std::uint64_t sample, std::uint64_t weight) noexcept {
    update(word, [sample, weight](std::uint64_t old) noexcept { return moved(old, sample, weight); });
}

/// A latency and when it was last moved are one word, so that no average is ever taken for a younger one.
constexpr unsigned kSecondBits = 27;  // four years
constexpr std::uint64_t kSecondMask = (std::uint64_t{1} << kSecondBits) - 1;
static_assert(kLatencyMaxUs >> (64 - kSecondBits) == 0);

std::uint64_t second_of(Nanos now) noexcept {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(now.count(), 0)) / 1'000'000'000 & kSecondMask;
}

/// The average in `word`, in us; 0 if it is older than `memory`.
std::uint64_t remembered(std::uint64_t word, Nanos now, Nanos memory) noexcept {
    const std::uint64_t age = (second_of(now) - word) & kSecondMask;
    if (age > kSecondMask / 2) return word >> kSecondBits;  // another's clock is ahead
    return Nanos(std::chrono::seconds(age)) <= memory ? word >> kSecondBits : 0;
}

void record_latency(Word& word, Nanos now, Nanos sample, Nanos memory) noexcept {
    const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(sample.count(), 0)) / 1000;
    update(word, [=](std::uint64_t old) noexcept {
        const std::uint64_t average = moved(remembered(old, now, memory), std::min(us, kLatencyMaxUs), 8);
        return average << kSecondBits | second_of(now);
    });
}

void record_sample(HealthRecord& record, Nanos now, const LatencySample& sample) noexcept {
    record_latency(record.latency, now, sample.latency, sample.memory);
    record.samples.fetch_add(1, kRelaxed);  // ORDER(health)
    if (sample.ttft) record_latency(record.ttft, now, *sample.ttft, sample.memory);
}

Nanos latency_in(const Word& word, Nanos now, Nanos memory) noexcept {
    const std::uint64_t us = remembered(word.load(kRelaxed), now, memory);  // ORDER(health)
    return std::chrono::microseconds(std::min(us, kLatencyMaxUs));
}

std::uint64_t bucket_tick(Nanos now) noexcept {
    return static_cast<std::uint64_t>(now.count()) / kBucketNs;
}

void count(HealthRecord& record, Nanos now, bool failed) noexcept {
    const std::uint64_t tick = bucket_tick(now);
    Word& bucket = record.buckets[tick % HealthRecord::kBuckets];
    update(bucket, [tick, failed](std::uint64_t old) noexcept {
        const std::uint64_t tag = (tick & kTickMask) << 2 * kCountBits;
        std::uint64_t failures = 0;
        std::uint64_t successes = 0;
        if (old >> 2 * kCountBits == (tick & kTickMask)) {
            failures = old >> kCountBits & kCountMax;
            successes = old & kCountMax;
        }
        std::uint64_t& counted = failed ? failures : successes;
        counted = std::min(counted + 1, kCountMax);
        return tag | failures << kCountBits | successes;
    });
}

void sum_buckets(const HealthRecord& record, Nanos now, HealthSnapshot& sums) noexcept {
    const std::uint64_t tick = bucket_tick(now);
    for (std::uint64_t back = 0; back < kBucketsCounted && back <= tick; ++back) {
        const std::uint64_t wanted = tick - back;
        // ORDER(health): one bucket at a time.
        const std::uint64_t word = record.buckets[wanted % HealthRecord::kBuckets].load(kRelaxed);
        if (word >> 2 * kCountBits != (wanted & kTickMask)) continue;
        sums.failures += word >> kCountBits & kCountMax;
        sums.successes += word & kCountMax;
    }
}

Nanos nanos(const Word& word) noexcept {
    constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
    const std::uint64_t ns = word.load(kRelaxed);  // ORDER(health)
    return Nanos(static_cast<std::int64_t>(std::min(ns, kMost)));
}

}  // namespace

void set_cooldown(Health health, Nanos until) noexcept {
    if (!lives(health) || until.count() <= 0) return;
    const auto wanted = static_cast<std::uint64_t>(until.count());
    update(health.record->cooldown_until,
           [wanted](std::uint64_t old) noexcept { return std::max(old, wanted); });
}

void clear_cooldown(Health health) noexcept {
    if (lives(health)) health.record->cooldown_until.store(0, kRelaxed);  // ORDER(health)
}

Nanos cooldown_until(Health health) noexcept {
    return lives(health) ? nanos(health.record->cooldown_until) : Nanos(0);
}

void record_success(Health health, Nanos now, const LatencySample& sample) noexcept {
    if (!lives(health)) return;
    HealthRecord& record = *health.record;
    count(record, now, false);
    record.streak.store(0, kRelaxed);  // ORDER(health)
    record_sample(record, now, sample);
}

void record_timeout(Health health, Nanos now, const LatencySample& sample) noexcept {
    if (lives(health)) record_sample(*health.record, now, sample);
}

std::uint64_t record_failure(Health health, Nanos now) noexcept {
    if (!lives(health)) return 0;
    HealthRecord& record = *health.record;
    count(record, now, true);
    record.streak.fetch_add(1, kRelaxed);                                          // ORDER(health)
    record.last_failure.store(static_cast<std::uint64_t>(now.count()), kRelaxed);  // ORDER(health)
    HealthSnapshot sums;
    sum_buckets(record, now, sums);
    return sums.failures;
}

HealthSnapshot read_health(Health health, Nanos now, Nanos memory) noexcept {
    HealthSnapshot snapshot;
    if (!lives(health)) return snapshot;
    const HealthRecord& record = *health.record;
    sum_buckets(record, now, snapshot);
    snapshot.cooldown_until = nanos(record.cooldown_until);
    snapshot.failures_in_a_row = record.streak.load(kRelaxed);  // ORDER(health)
    snapshot.latency_avg = latency_in(record.latency, now, memory);
    snapshot.ttft_avg = latency_in(record.ttft, now, memory);
    snapshot.samples = record.samples.load(kRelaxed);  // ORDER(health)
    snapshot.last_failure = nanos(record.last_failure);
    return snapshot;
}

void learn(Health model, const TokenUsage& usage) noexcept {
    const bool prompt = usage.prompt_bytes != 0 && usage.prompt_tokens != 0;
    const bool completion = usage.completion_tokens != 0;
    if (!lives(model) || !(prompt || completion)) return;
    HealthRecord& record = *model.record;
    if (prompt) {
        const std::uint64_t tokens = std::min(usage.prompt_tokens, kTokensMax);
        const std::uint64_t bytes = std::min(usage.prompt_bytes, kTokensMax * 64);
        average(record.bytes_per_token, bytes * kFixedPoint / tokens, 16);
    }
    if (completion) {
        average(record.completion_tokens, std::min(usage.completion_tokens, kTokensMax) * kFixedPoint, 16);
    }
    record.usages.fetch_add(1, kRelaxed);  // ORDER(health)
}

LearnedEstimate learned(Health model) noexcept {
    LearnedEstimate estimate;
    if (!lives(model)) return estimate;
    const auto fixed = [](const Word& word) noexcept {
        return static_cast<double>(word.load(kRelaxed)) /
               static_cast<double>(kFixedPoint);  // ORDER(health)
    };
    estimate.bytes_per_prompt_token = fixed(model.record->bytes_per_token);
    estimate.completion_tokens = fixed(model.record->completion_tokens);
    estimate.samples = model.record->usages.load(kRelaxed);  // ORDER(health)
    return estimate;
}

}  // namespace weir::shm
