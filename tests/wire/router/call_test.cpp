// Requests against an upstream that behaves by script: whatever becomes of one, its outcome is
// right, and the segment balances afterwards: nothing in flight, exact tokens.
#include <catch2/catch.hpp>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Unit;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

constexpr const char* kLimits = "rpm: 100, tpm: 100000";
constexpr const char* kOneTry = "num_retries: 0";
constexpr const char* kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";
/// What kQuestion reserves: one token for an empty prompt, and the 50.
constexpr std::uint64_t kReserved = 51;
/// What the fake server's ordinary answer says it used.
constexpr std::uint64_t kUsed = 21;

Json error_of(const Reply& reply) {
    return Json::parse(reply.body).at("error");
}

}  // namespace

TEST_CASE("an answer is passed on as it is, and charged what it says it used") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), kLimits)});
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 200);
    CHECK(reply.deployment_id == "a");
    CHECK(reply.content_type == "application/json");
    CHECK(Json::parse(reply.body).at("usage").at("total_tokens") == kUsed);
    CHECK(rig.used("a") == 1);
    CHECK(rig.tokens("a") == kUsed);
    CHECK(rig.in_flight("a") == 0);
    CHECK(Json::parse(upstream.last().at("body").get<std::string>()).at("model") == "gpt");
}

TEST_CASE("a 429 with Retry-After is retried elsewhere, and everybody leaves the deployment alone") {
    const FakeUpstream first;
    const FakeUpstream second;
    first.play(R"([{"status":429,"headers":{"retry-after":"30"}}])");
    Rig rig({entry("m", "a", first.base(), "order: 1, rpm: 100, tpm: 100000") +
             entry("m", "b", second.base(), kLimits)});
    CHECK(rig.ask(kQuestion).deployment_id == "b");
    CHECK(rig.cooling("a"));
    CHECK(rig.used("a") == 1);  // an attempt is a request
    CHECK(rig.tokens("a") == 0);
    CHECK(rig.tokens("b") == kUsed);
    CHECK(rig.ask(kQuestion).deployment_id == "b");
    CHECK(first.arrivals() == 1);
    CHECK(rig.in_flight("a") + rig.in_flight("b") == 0);
}

TEST_CASE("a 500 is retried at another deployment first, although the failed one stays in service") {
    const FakeUpstream upstream;
    upstream.play(R"([{"status":500}])");
    Rig rig({entry("m", "a", upstream.base(), kLimits) + entry("m", "b", upstream.base(), kLimits)});
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(upstream.arrivals() == 2);
    CHECK(rig.used("a") == 1);
    CHECK(rig.used("b") == 1);
    CHECK(rig.tokens("a") + rig.tokens("b") == kUsed);  // tokens once, however often it is tried
    CHECK(rig.in_flight("a") + rig.in_flight("b") == 0);
}

TEST_CASE("when no retry is left the upstream's own error is the answer") {
    const FakeUpstream upstream;
    upstream.play(R"([{"status":503,"body":{"error":{"message":"overloaded"}},"times":3}])");
    Rig rig({entry("m", "a", upstream.base(), kLimits) + entry("m", "b", upstream.base(), kLimits) +
                 entry("m", "c", upstream.base(), kLimits)});
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 503);
    CHECK(error_of(reply).at("message") == "overloaded");
    CHECK(upstream.arrivals() == 3);
    CHECK(rig.used("a") + rig.used("b") + rig.used("c") == 3);
    CHECK(rig.tokens("a") + rig.tokens("b") + rig.tokens("c") == 0);
}

TEST_CASE("a deployment's own num_retries goes before the router's, and the request's before both") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "num_retries: 1") +
             entry("m", "b", upstream.base(), "num_retries: 1"),
             "num_retries: 0"});
    upstream.play(R"([{"status":500,"times":9}])");
    CHECK(rig.ask(kQuestion).status == 500);
    CHECK(upstream.arrivals() == 2);
    CHECK(rig.ask(R"({"model":"m","messages":[],"num_retries":0})").status == 500);
    CHECK(upstream.arrivals() == 3);
}

TEST_CASE("no first byte in time: 408, and what may have been used stays charged") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base(), "timeout: 0.1, rpm: 100, tpm: 100000"), kOneTry});
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 408);
    CHECK(error_of(reply).at("type") == "timeout_error");
    CHECK(rig.used("a") == 1);
    CHECK(rig.tokens("a") == kReserved);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("an upstream that is not there costs nothing") {
    std::string base;
    {
        const FakeUpstream gone;
        base = gone.base();
    }
    Rig rig({entry("m", "a", base, kLimits), kOneTry});
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 500);
    CHECK(error_of(reply).at("type") == "api_connection_error");
    CHECK(rig.used("a") == 0);
    CHECK(rig.tokens("a") == 0);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("an answer that is no HTTP, or breaks off, is an error, and its tokens may have been used") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), kLimits), kOneTry});
    const auto fails = [&](const char* step, unsigned status) {
        upstream.play(std::string("[") + step + "]");
        const Reply reply = rig.ask(kQuestion);
        CHECK(reply.status == status);
        CHECK_FALSE(error_of(reply).at("message").get<std::string>().empty());
    };
    fails(R"({"malformed":"http"})", 500);
    fails(R"({"malformed":"length"})", 502);
    fails(R"({"cut_after_bytes":40})", 502);
    fails(R"({"cut_after_bytes":40,"reset":true})", 502);
    fails(R"({"close_before_response":true})", 500);
    CHECK(rig.used("a") == 5);
    // Of the one that fell short of its length the usage had come.
    CHECK(rig.tokens("a") == 4 * kReserved + kUsed);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("JSON that is cut short inside a whole answer passes, and costs what was reserved") {
    const FakeUpstream upstream;
    upstream.play(R"([{"malformed":"json"},{"no_usage":true}])");
    Rig rig({entry("m", "a", upstream.base(), kLimits), kOneTry});
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.tokens("a") == kReserved);
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.tokens("a") == 2 * kReserved);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("a kept-alive connection that was closed meanwhile is replaced, and nobody notices") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), kLimits), kOneTry});
    SECTION("closed while it lay idle") {
        upstream.play(R"([{"close_idle_connection":true}])");
        CHECK(rig.ask(kQuestion).status == 200);
        CHECK(rig.ask(kQuestion).status == 200);
        CHECK(upstream.arrivals() == 2);
    }
    SECTION("closed when the request was there already: that counts, for the upstream may count it") {
        CHECK(rig.ask(kQuestion).status == 200);
        upstream.play(R"([{"close_before_response":true}])");
        CHECK(rig.ask(kQuestion).status == 200);
        CHECK(upstream.arrivals() == 3);
        CHECK(rig.used("a") == 3);
    }
    CHECK(rig.tokens("a") == 2 * kUsed);
    CHECK_FALSE(rig.cooling("a"));
    CHECK(rig.in_flight("a") == 0);
}
