// Health records and learned estimates, as two participants of one segment see them.
#include "shm/health.hpp"

#include <catch2/catch.hpp>

#include "scratch_segment.hpp"
#include "shm/segment.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;
using namespace std::chrono_literals;

namespace {

constexpr Nanos kSecond = std::chrono::seconds(1);
constexpr Nanos kT = std::chrono::hours(1);

struct Fixture {
    ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Segment other = Segment::open(scratch.options());
    Health health = segment.health("deployment", "a");
    Health seen = other.health("deployment", "a");
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a cooldown is seen everywhere at once and only ever extended") {
    CHECK(cooldown_until(seen) == Nanos(0));
    set_cooldown(health, kT + 5 * kSecond);
    CHECK(cooldown_until(seen) == kT + 5 * kSecond);
    set_cooldown(seen, kT + 2 * kSecond);
    CHECK(cooldown_until(health) == kT + 5 * kSecond);
    clear_cooldown(seen);
    CHECK(read_health(health, kT).cooldown_until == Nanos(0));
}

TEST_CASE_METHOD(Fixture,
                 "failures and successes of the last minute are counted and leave it again") {
    CHECK(record_failure(health, kT) == 1);
    CHECK(record_failure(seen, kT + 30 * kSecond) == 2);
    record_success(health, kT + 31 * kSecond, {kSecond});
    HealthSnapshot now = read_health(seen, kT + 32 * kSecond);
    CHECK(now.failures == 2);
    CHECK(now.successes == 1);
    CHECK(now.last_failure == kT + 30 * kSecond);
    CHECK(read_health(seen, kT + 70 * kSecond).failures == 1);
    now = read_health(seen, kT + 100 * kSecond);
    CHECK(now.failures == 0);
    CHECK(now.successes == 0);
    CHECK(record_failure(health, kT + 1000 * kSecond) == 1);
}

TEST_CASE_METHOD(Fixture, "failures in a row end with a success") {
    for (int i = 0; i < 3; ++i) record_failure(health, kT);
    CHECK(read_health(seen, kT).failures_in_a_row == 3);
    record_success(seen, kT, {kSecond});
    CHECK(read_health(health, kT).failures_in_a_row == 0);
}

TEST_CASE_METHOD(Fixture, "latency averages start at the first sample and move by an eighth") {
    record_success(health, kT, {800ms, 80ms});
    CHECK(read_health(seen, kT).latency_avg == 800ms);
    record_success(seen, kT, {1600ms});
    const HealthSnapshot now = read_health(health, kT);
    CHECK(now.latency_avg == 900ms);
    CHECK(now.ttft_avg == 80ms);
    CHECK(now.samples == 2);
    record_success(health, kT, {-kSecond});
    CHECK(read_health(health, kT).latency_avg > Nanos(0));
}

TEST_CASE_METHOD(Fixture, "a latency is forgotten when there was no sample for as long as it is remembered") {
    record_success(health, kT, {800ms, 80ms});
    CHECK(read_health(seen, kT + kLatencyMemory).latency_avg == 800ms);
    CHECK(read_health(seen, kT + kLatencyMemory + kSecond).latency_avg == Nanos(0));
    CHECK(read_health(seen, kT + kLatencyMemory + kSecond).ttft_avg == Nanos(0));
    CHECK(read_health(seen, kT + 11 * kSecond, 10s).latency_avg == Nanos(0));
    // The first one after it is the average again.
    record_success(health, kT + 11 * kSecond, {200ms, {}, 10s});
    CHECK(read_health(seen, kT + 11 * kSecond, 10s).latency_avg == 200ms);
    CHECK(read_health(seen, kT + 11 * kSecond, 10s).ttft_avg == Nanos(0));
    // Each of them renews it.
    for (int i = 1; i <= 4; ++i) record_success(health, kT + (11 + i * 8) * kSecond, {200ms, {}, 10s});
    CHECK(read_health(seen, kT + 43 * kSecond, 10s).latency_avg == 200ms);
}

TEST_CASE_METHOD(Fixture, "a sample of a process whose clock is ahead is not taken for an old one") {
    record_success(health, kT + 3 * kSecond, {800ms});
    CHECK(read_health(seen, kT).latency_avg == 800ms);
    record_success(seen, kT, {1600ms});
    CHECK(read_health(seen, kT).latency_avg == 900ms);
}

TEST_CASE_METHOD(Fixture, "a timeout weighs on both averages, and no longer than they are remembered") {
    record_success(health, kT, {800ms, 80ms});
    record_timeout(health, kT, {kTimeoutPenalty});
    CHECK(read_health(seen, kT).latency_avg > 100 * kSecond);
    CHECK(read_health(seen, kT).ttft_avg == 80ms);
    record_timeout(health, kT, {kTimeoutPenalty, kTimeoutPenalty});
    CHECK(read_health(seen, kT).ttft_avg > 100 * kSecond);
    CHECK(read_health(seen, kT).successes == 1);
    const Nanos later = kT + kLatencyMemory + kSecond;
    CHECK(read_health(seen, later).latency_avg == Nanos(0));
    record_success(health, later, {100ms, 10ms});
    CHECK(read_health(seen, later).latency_avg == 100ms);
    CHECK(read_health(seen, later).ttft_avg == 10ms);
}

TEST_CASE_METHOD(Fixture, "a model's sizes are learned from usage") {
    const Health model = segment.health("model", "gpt");
    CHECK(learned(model).samples == 0);
    for (int i = 0; i < 200; ++i) learn(model, {4000, 1000, 250});
    const LearnedEstimate estimate = learned(model);
    CHECK(estimate.bytes_per_prompt_token == Approx(4.0));
    CHECK(estimate.completion_tokens == Approx(250.0));
    learn(model, {~std::uint64_t{0}, 1, ~std::uint64_t{0}});
    CHECK(learned(model).samples == 201);
}

TEST_CASE_METHOD(Fixture, "prompts and completions teach each on its own") {
    const Health pictures = segment.health("model", "pictures");
    learn(pictures, {0, 5, 30});  // a prompt without text
    learn(pictures, {5, 0, 30});
    CHECK(learned(pictures).completion_tokens == Approx(30));
    CHECK(learned(pictures).bytes_per_prompt_token == 0);
    const Health vectors = segment.health("model", "vectors");
    learn(vectors, {400, 100, 0});  // no completion
    CHECK(learned(vectors).bytes_per_prompt_token == Approx(4));
    CHECK(learned(vectors).completion_tokens == 0);
    learn(vectors, {0, 0, 0});
    CHECK(learned(vectors).samples == 1);
}

TEST_CASE("a handle that names nothing is accepted and does nothing") {
    set_cooldown({}, kT);
    record_success({}, kT, {kSecond});
    record_timeout({}, kT, {kSecond});
    learn({}, {1, 1, 1});
    CHECK(record_failure({}, kT) == 0);
    CHECK(cooldown_until({}) == Nanos(0));
    CHECK(read_health({}, kT).samples == 0);
}
