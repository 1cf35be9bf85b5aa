#include "router/retry.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace weir::router;
using namespace std::chrono_literals;

namespace {

FailedAttempt failed(unsigned status, std::uint32_t retries_done = 0, bool others = false,
                     bool fallback = false) {
    return {classify(status, ""), retries_done, others, fallback};
}

}  // namespace

TEST_CASE("what may pass later is retried, as often as allowed") {
    const RetryRules rules{.num_retries = 2, .policy = {}, .least_wait = {}};
    for (const unsigned status : {408u, 409u, 429u, 500u, 503u, 504u}) {
        CHECK(may_retry(rules, failed(status, 0)));
        CHECK(may_retry(rules, failed(status, 1)));
        CHECK_FALSE(may_retry(rules, failed(status, 2)));
    }
    for (const unsigned status : {200u, 400u, 404u, 422u}) {
        CHECK_FALSE(may_retry(rules, failed(status, 0)));
        CHECK_FALSE(may_retry(rules, failed(status, 0, true)));
    }
    CHECK(may_retry(rules, {classify(TransportError::connect), 0, false, false}));
    CHECK_FALSE(may_retry({.num_retries = 0, .policy = {}, .least_wait = {}}, failed(500)));
}

TEST_CASE("a key that is refused is only retried with another deployment's key") {
    CHECK_FALSE(may_retry({}, failed(401, 0, false)));
    CHECK(may_retry({}, failed(401, 0, true)));
    CHECK(may_retry({}, failed(403, 0, true)));
}

TEST_CASE("a full group gives way to a fallback at once") {
    CHECK(may_retry({}, failed(429, 0, false, false)));
    CHECK_FALSE(may_retry({}, failed(429, 0, false, true)));
    CHECK(may_retry({}, failed(429, 0, true, true)));
    CHECK(may_retry({}, failed(500, 0, false, true)));
}

TEST_CASE("a retry policy goes before the general number") {
    RetryRules rules;
    rules.num_retries = 1;
    rules.policy.rate_limit = 4;
    rules.policy.server_error = 0;
    rules.policy.bad_request = 1;
    CHECK(may_retry(rules, failed(429, 3)));
    CHECK_FALSE(may_retry(rules, failed(429, 4)));
    CHECK_FALSE(may_retry(rules, failed(500, 0)));
    CHECK_FALSE(may_retry(rules, {classify(TransportError::connect), 0, false, false}));
    CHECK(may_retry(rules, failed(408, 0)));
    CHECK_FALSE(may_retry(rules, failed(408, 1)));
    CHECK(may_retry(rules, failed(400, 0)));  // asked for explicitly
    CHECK_FALSE(may_retry(rules, failed(400, 1)));
    CHECK_FALSE(may_retry(rules, failed(404, 0)));
    CHECK(rules.policy.any());
    CHECK_FALSE(PerKind{}.any());
}

TEST_CASE("waiting: none with others at hand, as the upstream says, or doubling up to 8 s") {
    std::mt19937_64 random(1);
    const RandomSource source(random);
    const auto between = [](auto wait, auto least) {
        return wait >= least && wait < least + 750ms;
    };
    CHECK(retry_delay({}, failed(429, 3, true), 30s, source) == 0s);
    for (int i = 0; i < 1000; ++i) {
        CHECK(between(retry_delay({}, failed(429), 30s, source), 30s));
        CHECK(between(retry_delay({}, failed(429), 60s, source), 60s));
        CHECK(between(retry_delay({}, failed(429), 61s, source), 500ms));
        CHECK(between(retry_delay({}, failed(429), 0s, source), 500ms));
        CHECK(between(retry_delay({}, failed(500, 0), {}, source), 500ms));
        CHECK(between(retry_delay({}, failed(500, 2), {}, source), 2s));
        CHECK(between(retry_delay({}, failed(500, 4), {}, source), 8s));
        CHECK(between(retry_delay({}, failed(500, 4'000'000'000), {}, source), 8s));
    }
    const RetryRules patient{.num_retries = 2, .policy = {}, .least_wait = 10s};
    CHECK(between(retry_delay(patient, failed(500, 0), {}, source), 10s));
    CHECK(between(retry_delay(patient, failed(500, 0), 2s, source), 10s));
    CHECK(retry_delay(patient, failed(500, 0, true), {}, source) == 0s);
}

TEST_CASE("the jitter is spread over its whole range") {
    std::mt19937_64 random(5);
    double sum = 0;
    for (int i = 0; i < 10'000; ++i) {
        sum += std::chrono::duration<double>(retry_delay({}, failed(500), {}, RandomSource(random)))
                   .count();
    }
    CHECK(sum / 10'000 == Approx(0.5 + 0.375).margin(0.02));
}
