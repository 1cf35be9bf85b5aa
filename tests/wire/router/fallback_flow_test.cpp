// Requests whose model group fails, or is full, or does not take them: which group answers instead.
#include <catch2/catch.hpp>

#include "asked.hpp"
#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;

namespace {

constexpr const char* kLimits = "rpm: 100, tpm: 100000";
constexpr const char* kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";
/// What the fake server's ordinary answer says it used.
constexpr std::uint64_t kUsed = 21;

}  // namespace

TEST_CASE("fallbacks: by any failure, by a prompt that is too long, by one that was filtered") {
    const FakeUpstream upstream;
    const FakeUpstream other;
    Rig rig({entry("m", "a", upstream.base(), kLimits) + entry("n", "b", other.base(), kLimits) +
                 entry("long", "c", other.base(), kLimits) + entry("lax", "d", other.base(), kLimits),
             "num_retries: 0, fallbacks: [{m: [n]}], context_window_fallbacks: [{m: [long]}], "
             "content_policy_fallbacks: [{m: [lax]}]"});
    const auto goes_to = [&](const char* step) {
        upstream.play(std::string("[") + step + "]");
        const Reply reply = rig.ask(kQuestion);
        CHECK(reply.status == 200);
        return reply.deployment_id;
    };
    CHECK(goes_to(R"({"status":500})") == "b");
    CHECK(goes_to(R"({"close_before_response":true})") == "a");  // only a dead connection: asked again
    CHECK(goes_to(R"({"status":400,"body":{"error":{"code":"context_length_exceeded"}}})") == "c");
    CHECK(goes_to(R"({"status":400,"body":{"error":{"code":"content_policy_violation"}}})") == "d");
    CHECK(goes_to("{}") == "a");
    CHECK(rig.tokens("a") == 2 * kUsed);
    CHECK(rig.tokens("b") == kUsed);
    CHECK(rig.in_flight("a") + rig.in_flight("b") + rig.in_flight("c") + rig.in_flight("d") == 0);
}

TEST_CASE("a full group passes on to its fallback, and with none left the refusal says when it would pass") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1") + entry("n", "b", upstream.base(), "rpm: 1"),
             "default_fallbacks: [n]"});
    CHECK(rig.ask(kQuestion).deployment_id == "a");
    CHECK(rig.ask(kQuestion).deployment_id == "b");
    Asked third(rig, kQuestion);
    run(rig.io, third.read_all());
    REQUIRE(third.call.error() != nullptr);
    CHECK(third.call.error()->status == 429);
    CHECK(third.call.error()->retry_after.value() > 50s);
    CHECK(third.call.effort().fallbacks == 1);
    CHECK(third.call.group() == "n");
}

TEST_CASE("a group that takes every name ends a request that fails, as any other does") {
    const FakeUpstream upstream;
    Rig rig({entry("*", "a", upstream.base(), "rpm: 2", "openai/*") +
             entry("m", "b", upstream.base(), "rpm: 1")});
    upstream.play(R"([{"status":400}])");
    CHECK(rig.ask(R"({"model":"x","messages":[]})").status == 400);
    CHECK(upstream.arrivals() == 1);
    CHECK(rig.ask(R"({"model":"x","messages":[]})").status == 200);
    CHECK(rig.ask(R"({"model":"x","messages":[]})").status == 429);
    CHECK(rig.ask(kQuestion).deployment_id == "b");
    CHECK(rig.ask(kQuestion).status == 429);
    CHECK(upstream.arrivals() == 3);
}

TEST_CASE("fallbacks of an alias, and of a name that a wildcard takes") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1") + entry("n", "b", upstream.base()) +
                 entry("w/*", "w", upstream.base(), "rpm: 1", "openai/*"),
             "model_group_alias: {al: m}, fallbacks: [{al: [n]}, {w/x: [n]}]"});
    const auto answerer = [&](const std::string& model) {
        return rig.ask(R"({"model":")" + model + R"(","messages":[]})").deployment_id;
    };
    CHECK(answerer("al") == "a");
    CHECK(answerer("al") == "b");
    CHECK(answerer("m").empty());
    CHECK(answerer("w/x") == "w");
    CHECK(answerer("w/x") == "b");
    CHECK(answerer("w/y").empty());
}

TEST_CASE("prompts that no deployment takes are refused or passed on, if that is to be checked") {
    const FakeUpstream upstream;
    const auto deployment = [&](const std::string& group, const std::string& id, const std::string& most) {
        return "  - {model_name: " + group + ", litellm_params: {model: gpt, api_base: '" + upstream.base() +
               "'}, model_info: {id: " + id + ", max_input_tokens: " + most + "}}\n";
    };
    const std::string question =
        R"({"model":"m","messages":[{"role":"user","content":")" + std::string(4000, 'x') + R"("}]})";
    const std::string models = deployment("m", "a", "100") + deployment("n", "b", "5000");
    Rig unchecked({models, ""});
    CHECK(unchecked.ask(question).deployment_id == "a");
    Rig checked({models, "enable_pre_call_checks: true"});
    const Reply refused = checked.ask(question);
    CHECK(refused.status == 400);
    CHECK(contains(refused.body, "exceeds the context window"));
    CHECK(checked.ask(kQuestion).deployment_id == "a");
    Rig falling({models, "enable_pre_call_checks: true, context_window_fallbacks: [{m: [n]}]"});
    CHECK(falling.ask(question).deployment_id == "b");
}

TEST_CASE("a deployment that does not take the prompt is no other place for a retry") {
    const FakeUpstream upstream;
    const auto deployment = [&](const std::string& id, const std::string& most) {
        return "  - {model_name: m, litellm_params: {model: gpt, api_base: '" + upstream.base() +
               "'}, model_info: {id: " + id + ", max_input_tokens: " + most + "}}\n";
    };
    Rig rig({deployment("a", "5000") + deployment("b", "100"),
             "enable_pre_call_checks: true, num_retries: 1"});
    // A refused key is tried again only where another one may be good.
    upstream.play(R"([{"status":401},{}])");
    const Reply reply = rig.ask(R"({"model":"m","messages":[{"role":"user","content":")" +
                                std::string(4000, 'x') + R"("}]})");
    CHECK(reply.status == 401);
    CHECK(upstream.arrivals() == 1);
}

TEST_CASE("a group is not tried again under another name of its own") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base()) + entry("n", "b", upstream.base()),
             "num_retries: 0, model_group_alias: {al: m, also: n}, default_fallbacks: [al, n, also, m]"});
    upstream.play(R"([{"status":500},{"status":500},{"status":500}])");
    Asked failing(rig, kQuestion);
    run(rig.io, failing.read_all());
    CHECK(failing.call.answer().status() == 500);
    CHECK(failing.call.effort().fallbacks == 1);
    CHECK(upstream.arrivals() == 2);
}

TEST_CASE("a request brings fallbacks of its own, wants none, or sees where a failure leads") {
    const FakeUpstream upstream;
    const FakeUpstream other;
    Rig rig({entry("m", "a", upstream.base(), kLimits) + entry("n", "b", other.base(), kLimits) +
                 entry("o", "c", other.base(), kLimits),
             "num_retries: 0, model_group_alias: {al: o}, fallbacks: [{m: [n]}], "
             "context_window_fallbacks: [{m: [o]}]"});
    const auto answered_by = [&](const std::string& fields) {
        return rig.ask(R"({"model":"m","messages":[],"max_tokens":50,)" + fields + "}");
    };
    const auto failing = [&](const std::string& fields) {
        upstream.play(R"([{"status":500}])");
        return answered_by(fields);
    };
    CHECK(failing(R"("fallbacks":null)").deployment_id == "b");
    CHECK(failing(R"("fallbacks":["al"])").deployment_id == "c");
    CHECK(failing(R"("fallbacks":[{"model":"o"}])").deployment_id == "c");
    CHECK(failing(R"("fallbacks":[{"m":["o"]}])").deployment_id == "c");
    CHECK(failing(R"("fallbacks":[{"n":["o"]}])").status == 500);
    CHECK(failing(R"("fallbacks":["m"])").status == 500);
    CHECK(failing(R"("disable_fallbacks":true)").status == 500);
    CHECK(failing(R"("max_fallbacks":0)").status == 500);
    const auto arrivals = upstream.arrivals();
    CHECK(answered_by(R"("mock_testing_fallbacks":true)").deployment_id == "b");
    CHECK(answered_by(R"("mock_testing_context_fallbacks":true)").deployment_id == "c");
    CHECK(answered_by(R"("mock_testing_content_policy_fallbacks":true,"content_policy_fallbacks":["o"])")
              .deployment_id == "c");
    const Reply limited = answered_by(R"("mock_testing_rate_limit_error":true,"disable_fallbacks":true)");
    CHECK(limited.status == 429);
    CHECK(limited.deployment_id.empty());
    CHECK(contains(limited.body, "mock_testing"));
    const Reply unknown = answered_by(R"("fallbacks":["n","nothing"])");
    CHECK(unknown.status == 400);
    CHECK(contains(unknown.body, R"("param":"fallbacks")"));
    CHECK(upstream.arrivals() == arrivals);  // none of these has asked it
    CHECK_FALSE(contains(other.last().dump(), "fallbacks"));
    CHECK(rig.tokens("a") == 0);
    CHECK(rig.in_flight("a") + rig.in_flight("b") + rig.in_flight("c") == 0);
}
