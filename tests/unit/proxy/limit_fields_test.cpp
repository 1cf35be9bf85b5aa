#include "proxy/limit_fields.hpp"

#include <catch2/catch.hpp>

#include "proxy/caller.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace weir::proxy {
namespace {

using namespace std::chrono_literals;

TEST_CASE("durations are written as Go writes them, rounded up to milliseconds") {
    CHECK(go_duration(0ns) == "0ms");
    CHECK(go_duration(1ns) == "1ms");
    CHECK(go_duration(20ms) == "20ms");
    CHECK(go_duration(999ms) == "999ms");
    CHECK(go_duration(999ms + 1ns) == "1s");
    CHECK(go_duration(1s) == "1s");
    CHECK(go_duration(1500ms) == "1.5s");
    CHECK(go_duration(1050ms) == "1.05s");
    CHECK(go_duration(1001ms) == "1.001s");
    CHECK(go_duration(59s + 999ms + 1ns) == "1m0s");
    CHECK(go_duration(6min) == "6m0s");
    CHECK(go_duration(1min + 587ms) == "1m0.587s");
    CHECK(go_duration(1h) == "1h0m0s");
    CHECK(go_duration(24h + 61s) == "24h1m1s");
    CHECK(go_duration(-5s) == "0ms");
}

TEST_CASE("a deployment's limits go by OpenAI's names, a caller's by LiteLLM's") {
    const shm::test::ScratchName scratch;
    shm::Segment segment = shm::Segment::open(scratch.options(4u << 20));
    shm::Participant participant = segment.join("test");
    const auto scope = [&](std::string kind, shm::Unit unit, shm::Nanos window, shm::Units limit) {
        router::Scope made{std::move(kind), "x", unit, window, limit, {}};
        made.look_up(segment);
        return made;
    };
    const std::vector<router::Scope> deployment = {scope("deployment", shm::Unit::tokens, 60s, 1000)};
    router::Scope minute = scope("api_key", shm::Unit::requests, 60s, 10);
    router::Scope day = scope("api_key", shm::Unit::input_tokens, 24h, 500);
    const LimitFieldNames of_minute = limit_field_names(minute.kind, minute.unit, minute.window);
    const LimitFieldNames of_day = limit_field_names(day.kind, day.unit, day.window);
    const CallerScopes callers{{&minute, &day}, {&of_minute, &of_day}, {}, {}};

    const shm::Nanos now = shm::now();
    const std::vector<shm::Charge> charges = {{deployment[0].limiter, 100}, {minute.limiter, 1}};
    const auto admission = participant.admit({charges, {}}, now);
    REQUIRE(admission.admitted());

    std::string out;
    HeadWriter head(out, 200);
    append_limits(head, participant, callers, deployment, now);
    INFO(out);
    CHECK(out.find("x-ratelimit-limit-tokens: 1000\r\nx-ratelimit-remaining-tokens: 900\r\n"
                   "x-ratelimit-reset-tokens: 1m0.") != std::string::npos);
    CHECK(out.find("x-ratelimit-api_key-limit-requests: 10\r\n"
                   "x-ratelimit-api_key-remaining-requests: 9\r\n") != std::string::npos);
    CHECK(out.find("x-ratelimit-api_key-day-limit-input-tokens: 500\r\n"
                   "x-ratelimit-api_key-day-remaining-input-tokens: 500\r\n") != std::string::npos);
}

}  // namespace
}  // namespace weir::proxy
