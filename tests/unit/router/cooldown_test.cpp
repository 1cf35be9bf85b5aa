#include "router/cooldown.hpp"

#include <catch2/catch.hpp>

using namespace weir::router;
using namespace std::chrono_literals;

namespace {

Failure failure(unsigned status, std::uint64_t failures = 1, std::uint64_t successes = 100,
                bool only_one = false) {
    return {classify(status, "no such model"), failures, successes, only_one, std::nullopt};
}

Failure with_retry_after(Failure f, weir::shm::Nanos time) {
    f.retry_after = time;
    return f;
}

}  // namespace

TEST_CASE("what the next request would meet again cools down at once") {
    for (const unsigned status : {429u, 401u, 403u, 404u, 408u, 504u})
        CHECK(cooldown_for({}, failure(status)) == 5s);
    CHECK(cooldown_for({}, {classify(TransportError::first_byte_timeout), 1, 100, false, {}}) ==
          5s);
}

TEST_CASE("the client's own faults and single server errors do not") {
    for (const unsigned status : {200u, 400u, 422u, 500u, 503u, 409u}) {
        CHECK_FALSE(cooldown_for({}, failure(status)).has_value());
    }
    CHECK_FALSE(cooldown_for({}, failure(400, 1000, 0)).has_value());
    CHECK_FALSE(
        cooldown_for({}, {classify(TransportError::connect), 1, 100, false, {}}).has_value());
}

TEST_CASE("more than half of at least five requests cool down") {
    CHECK_FALSE(cooldown_for({}, failure(500, 4, 0)).has_value());
    CHECK(cooldown_for({}, failure(500, 5, 0)) == 5s);
    CHECK(cooldown_for({}, failure(500, 3, 2)) == 5s);
    CHECK_FALSE(cooldown_for({}, failure(500, 3, 3)).has_value());
    CHECK(cooldown_for({}, failure(500, 51, 50)) == 5s);
    CHECK(cooldown_for({}, {classify(TransportError::connect), 5, 0, false, {}}) == 5s);
}

TEST_CASE("the only deployment of a group stays, unless all of a thousand requests fail") {
    for (const unsigned status : {429u, 401u, 404u, 408u, 500u}) {
        CHECK_FALSE(cooldown_for({}, failure(status, 999, 0, true)).has_value());
        CHECK(cooldown_for({}, failure(status, 1000, 0, true)) == 5s);
        CHECK_FALSE(cooldown_for({}, failure(status, 5000, 1, true)).has_value());
    }
    // But when the upstream itself says until when, it is left alone.
    CHECK(cooldown_for({}, with_retry_after(failure(429, 1, 100, true), 7s)) == 7s);
    CHECK_FALSE(cooldown_for({}, with_retry_after(failure(503, 1, 100, true), 7s)).has_value());
}

TEST_CASE("allowed_fails replaces the rates") {
    CooldownRules rules;
    rules.allowed_fails = 2;
    CHECK_FALSE(cooldown_for(rules, failure(500, 2, 0)).has_value());
    CHECK(cooldown_for(rules, failure(500, 3, 1000)) == 5s);
    CHECK_FALSE(cooldown_for(rules, failure(429, 1)).has_value());
    CHECK(cooldown_for(rules, failure(401, 3, 0, true)) == 5s);
    rules.allowed_fails = 0;
    CHECK(cooldown_for(rules, failure(500, 1)) == 5s);
}

TEST_CASE("allowed_fails_policy goes by class, before allowed_fails") {
    CooldownRules rules;
    rules.allowed_fails = 0;
    rules.allowed_fails_policy.server_error = 10;
    CHECK_FALSE(cooldown_for(rules, failure(500, 10, 0)).has_value());
    CHECK(cooldown_for(rules, failure(500, 11, 0)) == 5s);
    CHECK(cooldown_for(rules, failure(429, 1)) == 5s);
}

TEST_CASE("the time is the deployment's, else the upstream's, else the router's") {
    CooldownRules rules;
    rules.cooldown_time = 30s;
    CHECK(cooldown_for(rules, failure(429)) == 30s);
    CHECK(cooldown_for(rules, with_retry_after(failure(429), 12s)) == 12s);
    rules.deployment_cooldown_time = 90s;
    CHECK(cooldown_for(rules, with_retry_after(failure(429), 12s)) == 90s);
    rules.deployment_cooldown_time = 0s;
    CHECK_FALSE(cooldown_for(rules, failure(429)).has_value());
    rules = {};
    rules.disabled = true;
    CHECK_FALSE(cooldown_for(rules, with_retry_after(failure(429, 5000, 0), 12s)).has_value());
}

TEST_CASE("what a provider's header says is believed for an hour at most") {
    CHECK(cooldown_for({}, with_retry_after(failure(429), 366 * 24h)) == 1h);
    CHECK(cooldown_for_quota({}, 366 * 24h) == 1h);
    CHECK(cooldown_for_quota({}, 59min) == 59min);
    CHECK_FALSE(cooldown_for_quota({}, std::nullopt).has_value());
    CooldownRules own;
    own.deployment_cooldown_time = 2h;  // the operator's own word is not a header
    CHECK(cooldown_for(own, with_retry_after(failure(429), 366 * 24h)) == 2h);
}

TEST_CASE("a deployment's own time makes the wait for a used-up quota shorter, never longer") {
    CooldownRules rules;
    rules.deployment_cooldown_time = 30s;
    CHECK(cooldown_for_quota(rules, 10min) == 30s);
    CHECK(cooldown_for_quota(rules, 2s) == 2s);
    rules.deployment_cooldown_time = 2h;
    CHECK(cooldown_for_quota(rules, 24h) == 1h);
    rules.deployment_cooldown_time = 0s;
    CHECK_FALSE(cooldown_for_quota(rules, 10min).has_value());
}

TEST_CASE("a used-up quota cools nothing down where cooldowns are disabled") {
    CooldownRules rules;
    rules.disabled = true;
    CHECK_FALSE(cooldown_for_quota(rules, 30s).has_value());
}
