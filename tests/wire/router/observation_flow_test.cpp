// What an attempt shows about its deployment: whether it is counted as a failure, and what becomes of the
// quotas that the upstream tells of.
#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Unit;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;

namespace {

constexpr const char* kLimits = "rpm: 100, tpm: 100000";
constexpr const char* kOneTry = "num_retries: 0";
constexpr const char* kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";

}  // namespace

TEST_CASE("a used-up quota takes its deployment out of service for an hour at most, or not at all") {
    const FakeUpstream upstream;
    upstream.play(R"([{"headers":{"x-ratelimit-remaining-requests":"0",
                                  "x-ratelimit-reset-requests":"8000h"}}])");
    SECTION("an hour") {
        Rig rig({entry("m", "a", upstream.base()), kOneTry});
        CHECK(rig.ask(kQuestion).status == 200);
        CHECK(rig.cooling("a"));
        CHECK(weir::shm::cooldown_until(rig.deployment("a").health()) <= weir::shm::now() + 1h);
        const Reply refused = rig.ask(kQuestion);
        CHECK(refused.status == 429);
        CHECK(contains(refused.body, "used-up quota"));
    }
    SECTION("not at all") {
        Rig rig({entry("m", "a", upstream.base()), "num_retries: 0, disable_cooldowns: true"});
        CHECK(rig.ask(kQuestion).status == 200);
        CHECK_FALSE(rig.cooling("a"));
        CHECK(rig.ask(kQuestion).status == 200);
    }
}

TEST_CASE("a deployment's cooldown_time shortens the wait for a used-up quota, and replaces Retry-After") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "cooldown_time: 5") + entry("m", "b", upstream.base()),
             kOneTry});
    const auto left = [&] {
        return weir::shm::cooldown_until(rig.deployment("a").health()) - weir::shm::now();
    };
    SECTION("a quota at 0 that is back soon") {
        upstream.play(R"([{"headers":{"x-ratelimit-remaining-tokens":"0","x-ratelimit-reset-tokens":"2s"},
                           "times":2}])");
        while (rig.ask(kQuestion).deployment_id != "a") continue;
        CHECK(left() > 1s);
        CHECK(left() <= 2s);
    }
    SECTION("a quota at 0 that is back late") {
        upstream.play(R"([{"headers":{"x-ratelimit-remaining-tokens":"0","x-ratelimit-reset-tokens":"2m"},
                           "times":2}])");
        while (rig.ask(kQuestion).deployment_id != "a") continue;
        CHECK(left() > 4s);
        CHECK(left() <= 5s);
    }
    SECTION("a 429 with Retry-After and a quota at 0") {
        upstream.play(R"([{"status":429,"headers":{"retry-after":"1","x-ratelimit-remaining-tokens":"0",
                           "x-ratelimit-reset-tokens":"2m"},"times":2}])");
        while (rig.ask(kQuestion).deployment_id != "a") continue;
        CHECK(left() > 4s);
        CHECK(left() <= 5s);
    }
}

TEST_CASE("what a refusal says is left of a quota is respected, the refused tokens given back") {
    const FakeUpstream first;
    const FakeUpstream second;
    Rig rig({entry("m", "a", first.base(), "order: 1, rpm: 100, tpm: 100000") +
             entry("m", "b", second.base(), kLimits)});
    SECTION("before another deployment is asked") {
        first.play(R"([{"status":429,"headers":{"x-ratelimit-remaining-tokens":"1000",
                        "x-ratelimit-remaining-requests":"7"}}])");
        CHECK(rig.ask(kQuestion).deployment_id == "b");
    }
    SECTION("in the answer for the client, whatever its status") {
        first.play(R"([{"status":400,"headers":{"x-ratelimit-remaining-tokens":"1000",
                        "x-ratelimit-remaining-requests":"7"}}])");
        CHECK(rig.ask(kQuestion).status == 400);
    }
    CHECK(rig.tokens("a") == 99000);
    CHECK(rig.used("a") == 93);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("quotas that are told of tokens alone are heard") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "tpm: 1000, itpm: 1000, otpm: 1000"), kOneTry});
    const auto [name, unit] = GENERATE(values<std::pair<const char*, Unit>>(
        {{"tokens", Unit::tokens},
         {"input-tokens", Unit::input_tokens},
         {"output-tokens", Unit::output_tokens}}));
    upstream.play(std::string(R"([{"headers":{"anthropic-ratelimit-)") + name + R"(-remaining":"300"}}])");
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.used("a", unit) >= 650);  // 700, less what was reserved beyond the answer's usage
}

TEST_CASE("only streams tell how long the first token takes") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base()), kOneTry});
    const auto health = [&] {
        return weir::shm::read_health(rig.deployment("a").health(), weir::shm::now());
    };
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(health().latency_avg > 0s);
    CHECK(health().ttft_avg == 0s);
    CHECK(rig.ask(R"({"model":"m","messages":[],"stream":true})").status == 200);
    CHECK(health().ttft_avg > 0s);
}

TEST_CASE("a client's nonsense takes no deployment out of service") {
    const FakeUpstream upstream;
    const auto failures = [](Rig& rig, const std::string& id) {
        return weir::shm::read_health(rig.deployment(id).health(), weir::shm::now()).failures;
    };
    SECTION("whatever an upstream thinks of it") {
        Rig rig({entry("m", "a", upstream.base()) + entry("m", "b", upstream.base()),
                 "num_retries: 0, allowed_fails: 0"});
        for (const char* status : {"400", "405", "413", "415", "422"}) {
            upstream.play(std::string(R"([{"times":4,"status":)") + status + "}]");
            for (int i = 0; i < 4; ++i) CHECK(std::to_string(rig.ask(kQuestion).status) == status);
        }
        CHECK(failures(rig, "a") + failures(rig, "b") == 0);
        CHECK_FALSE(rig.cooling("a"));
        CHECK_FALSE(rig.cooling("b"));
        // A server error after it is one failure, not the last of many.
        upstream.play(R"([{"status":500}])");
        CHECK(rig.ask(kQuestion).status == 500);
        CHECK(failures(rig, "a") + failures(rig, "b") == 1);
    }
    SECTION("questions for what is not there") {
        Rig rig({entry("m", "a", upstream.base()) + entry("m", "b", upstream.base()), kOneTry});
        for (int i = 0; i < 40; ++i) CHECK(rig.ask(kQuestion).status == 200);  // both have served
        CHECK(rig.ask(kQuestion, "/rerank").status == 404);
        CHECK_FALSE((rig.cooling("a") || rig.cooling("b")));
        upstream.play(R"([{"status":404,"body":{"error":{"code":"model_not_found"}}}])");
        CHECK(rig.ask(kQuestion).status == 404);
        CHECK((rig.cooling("a") || rig.cooling("b")));
    }
    SECTION("models that clients make up where a wildcard takes any name") {
        Rig rig({entry("*", "a", upstream.base(), "", "openai/*") +
                     entry("*", "b", upstream.base(), "", "openai/*"),
                 kOneTry});
        upstream.play(R"([{"status":404,"body":{"error":{"code":"model_not_found"}},"times":9}])");
        for (int i = 0; i < 9; ++i) CHECK(rig.ask(kQuestion).status == 404);
        CHECK_FALSE((rig.cooling("a") || rig.cooling("b")));
    }
    SECTION("timeouts of its own") {
        Rig rig({entry("m", "a", upstream.base()) + entry("m", "b", upstream.base()), kOneTry});
        upstream.play(R"([{"stall_ms":60000}])");
        CHECK(rig.ask(R"({"model":"m","messages":[],"timeout":0.01})").status == 408);
        CHECK(failures(rig, "a") + failures(rig, "b") == 0);
        CHECK_FALSE((rig.cooling("a") || rig.cooling("b")));
        // One that is longer than the configuration's is its own fault no more.
        Rig strict({entry("m", "a", upstream.base(), "timeout: 0.05")});
        upstream.play(R"([{"stall_ms":60000}])");
        CHECK(strict.ask(R"({"model":"m","messages":[],"timeout":0.2,"num_retries":0})").status == 408);
        CHECK(failures(strict, "a") == 1);
    }
    SECTION("but a deployment that serves nobody has a wrong address") {
        Rig rig({entry("m", "a", upstream.base()) + entry("m", "b", upstream.base()), kOneTry});
        upstream.play(R"([{"status":404}])");
        CHECK(rig.ask(kQuestion).status == 404);
        CHECK((rig.cooling("a") || rig.cooling("b")));
    }
}
