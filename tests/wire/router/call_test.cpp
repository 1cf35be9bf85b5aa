// Requests against an upstream that behaves by script: whatever becomes of one, its outcome is
// right, and the segment balances afterwards: nothing in flight, exact tokens.
#include <catch2/catch.hpp>

#include "asked.hpp"
#include "rig.hpp"
#include "router/multipart.hpp"
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
    fails(R"({"malformed":"http"})", 502);
    fails(R"({"malformed":"length"})", 502);
    fails(R"({"cut_after_bytes":40})", 502);
    fails(R"({"cut_after_bytes":40,"reset":true})", 502);
    fails(R"({"close_before_response":true})", 502);
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
    upstream.play(R"([{"close_idle_connection":true}])");
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(upstream.arrivals() == 2);
    CHECK(rig.tokens("a") == 2 * kUsed);
    CHECK_FALSE(rig.cooling("a"));
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("one that is closed when the request arrives is replaced, if that is seen at once") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), kLimits), "num_retries: 0, disable_cooldowns: true"});
    int replaced = 0;
    // How soon a process that does not get its time sees it is up to the machine: once is enough.
    for (int round = 0; round < 40 && replaced == 0; ++round) {
        REQUIRE(rig.ask(kQuestion).status == 200);
        upstream.play(R"([{"close_before_response":true}])");
        const std::size_t before = upstream.arrivals();
        const unsigned status = rig.ask(kQuestion).status;
        // That the first may have counted it is charged; nobody has failed.
        CHECK(upstream.arrivals() - before == (status == 200 ? 2 : 1));
        CHECK((status == 200 || status == 502));
        replaced += status == 200 ? 1 : 0;
    }
    CHECK(replaced == 1);
    CHECK(rig.in_flight("a") == 0);
}

namespace {

constexpr const char* kStreamed = R"({"model":"m","messages":[],"stream":true,"max_tokens":50})";

}  // namespace

TEST_CASE("a stream is charged by its usage, which only those see who asked for it") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), kLimits), kOneTry});
    Asked silent(rig, kStreamed);
    CHECK(run(rig.io, silent.read_all()) == TransportError::none);
    CHECK(contains(silent.text, "data: [DONE]"));
    CHECK_FALSE(contains(silent.text, "prompt_tokens"));
    CHECK(silent.call.usage()->total_tokens == kUsed);
    CHECK(rig.tokens("a") == kUsed);
    Asked curious(rig, R"({"model":"m","messages":[],"stream":true,
                           "stream_options":{"include_usage":true}})");
    CHECK(run(rig.io, curious.read_all()) == TransportError::none);
    CHECK(contains(curious.text, "prompt_tokens"));
    CHECK(rig.tokens("a") == 2 * kUsed);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("a stream that breaks off never gets back what it may have used") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 100, tpm: 100000, stream_timeout: 0.15"), kOneTry});
    SECTION("cut: what was reserved stays") {
        upstream.play(R"([{"cut_after_events":2}])");
        Asked asked(rig, kStreamed);
        CHECK(run(rig.io, asked.read_all()) == TransportError::broken);
        CHECK(rig.tokens("a") == kReserved);
    }
    SECTION("stalled: likewise") {
        upstream.play(R"([{"event_delay_ms":60000}])");
        Asked asked(rig, kStreamed);
        CHECK(run(rig.io, asked.read_all()) == TransportError::stalled);
        CHECK(contains(asked.text, "data: "));
        CHECK(rig.tokens("a") == kReserved);
    }
    SECTION("more was seen than reserved: that") {
        upstream.play(R"([{"tokens":[9,40],"cut_after_events":32,"reset":true}])");
        Asked asked(rig, R"({"model":"m","messages":[],"stream":true,"max_tokens":4})");
        const auto failure = run(rig.io, asked.read_all());
        CHECK(failure == TransportError::broken);
        CHECK(rig.tokens("a") > 5);
        CHECK(rig.tokens("a") <= 60);
    }
    SECTION("the client leaves in the middle: likewise") {
        upstream.play(R"([{"event_delay_ms":60000}])");
        {
            Asked asked(rig, kStreamed);
            bool ended = false;
            asio::co_spawn(rig.io.get_executor(), asked.call.start(),
                           [&](std::exception_ptr) { ended = true; });
            while (!ended) rig.io.run_one_for(10ms);
            CHECK(rig.in_flight("a") == 1);
            asked.call.abort();
        }
        CHECK(rig.tokens("a") == kReserved);
        CHECK_FALSE(rig.cooling("a"));  // it was not the upstream's fault
    }
    CHECK(rig.used("a") == 1);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("a client that leaves before the answer ends the upstream's work on it") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base(), kLimits)});
    {
        Asked asked(rig, kQuestion);
        bool ended = false;
        asio::co_spawn(rig.io.get_executor(), asked.call.start(),
                           [&](std::exception_ptr) { ended = true; });
        while (upstream.arrivals() == 0) rig.io.run_for(5ms);
        asked.call.abort();
        while (!ended) rig.io.run_one_for(10ms);
        CHECK(asked.call.effort().retries == 0);
    }
    CHECK(rig.used("a") == 1);
    CHECK(rig.tokens("a") == kReserved);
    CHECK(rig.in_flight("a") == 0);
    CHECK(upstream.arrivals() == 1);
}

TEST_CASE("the general limit of requests in flight holds for a deployment that has none of its own") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base()) +
                 entry("n", "b", upstream.base(), "max_parallel_requests: 2"),
             "num_retries: 0, default_max_parallel_requests: 1"});
    {
        Asked first(rig, kQuestion);
        bool ended = false;
        asio::co_spawn(rig.io.get_executor(), first.call.start(), [&](std::exception_ptr) { ended = true; });
        while (upstream.arrivals() == 0) rig.io.run_for(5ms);
        const Reply second = rig.ask(kQuestion);
        CHECK(second.status == 429);
        CHECK(contains(second.body, "in flight"));
        first.call.abort();
        while (!ended) rig.io.run_one_for(10ms);
    }
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.deployment("a").hold().max == 1);
    CHECK(rig.deployment("b").hold().max == 2);
}

TEST_CASE("under its caller's limits a request counts once, however often it is tried") {
    const FakeUpstream upstream;
    upstream.play(R"([{"status":500},{"status":500}])");
    Rig rig({entry("m", "a", upstream.base(), kLimits) + entry("m", "b", upstream.base(), kLimits)});
    Scope requests{"key", "k", Unit::requests, 60s, 10, {}};
    Scope tokens{"key", "k", Unit::tokens, 60s, 1000, {}};
    for (Scope* scope : {&requests, &tokens}) scope->look_up(rig.router().segment());
    Scope* const scopes[] = {&requests, &tokens};
    Hold running{"key", "k", 5, false, {}};
    running.look_up(rig.router().segment());
    Hold* const holds[] = {&running};
    Request options;
    options.caller = {scopes, holds};
    auto& me = rig.router().participant();
    {
        Asked asked(rig, R"({"model":"m","messages":[],"max_tokens":50,"num_retries":1})", options);
        run(rig.io, asked.read_all());
        CHECK(asked.call.answer().status() == 500);
    }
    CHECK(me.usage(requests.limiter, weir::shm::now()).used == 1);
    CHECK(me.usage(tokens.limiter, weir::shm::now()).used == 0);
    {
        Asked asked(rig, kQuestion, options);
        run(rig.io, asked.read_all());
        CHECK(asked.call.answer().status() == 200);
    }
    CHECK(me.usage(requests.limiter, weir::shm::now()).used == 2);
    CHECK(me.usage(tokens.limiter, weir::shm::now()).used == kUsed);
    CHECK(me.in_flight(running.gauge) == 0);
}

TEST_CASE("a retry is another request for the deployment's limit, and is refused by it") {
    const FakeUpstream upstream;
    upstream.play(R"([{"status":500,"times":5}])");
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1") + entry("m", "b", upstream.base(), "rpm: 1"),
             "num_retries: 5"});
    const Reply reply = rig.ask(kQuestion);
    CHECK(upstream.arrivals() == 2);
    CHECK(reply.status == 429);
    CHECK(rig.in_flight("a") + rig.in_flight("b") == 0);
}

TEST_CASE("what exceeds a limit is refused for good, unless another deployment takes it") {
    const FakeUpstream upstream;
    const std::string large = R"({"model":"m","messages":[],"max_tokens":500})";
    Rig narrow({entry("m", "a", upstream.base(), "tpm: 400")});
    CHECK(narrow.ask(large).status == 400);
    CHECK(contains(narrow.ask(large).body, "can never pass"));
    // What is only guessed is cut to the limit instead.
    CHECK(narrow.ask(R"({"model":"m","messages":[]})").status == 200);
    Rig wide({entry("m", "a", upstream.base(), "order: 1, tpm: 400") +
              entry("m", "b", upstream.base(), "tpm: 600")});
    CHECK(wide.ask(large).deployment_id == "b");
    CHECK(wide.ask(R"({"model":"m","messages":[],"max_tokens":590})").status == 429);  // it will pass
}

TEST_CASE("names: aliases, hidden ones, ids, wildcards, and what is none of them") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base()) + entry("m", "b", upstream.base()) +
                 entry("any/*", "w", upstream.base(), "", "openai/*") +
                 entry("any/long-*", "l", upstream.base(), "", "openai/one-*-end") +
                 entry("fixed*", "f", upstream.base(), "", "openai/always"),
             "model_group_alias: {other: m, secret: {model: m, hidden: true}, wild: any/7}"});
    const auto asked = [&](const std::string& model) {
        const Reply reply = rig.ask(R"({"model":")" + model + R"(","messages":[]})");
        CHECK(reply.status == 200);
        const Json body = Json::parse(upstream.last().at("body").get<std::string>());
        return reply.deployment_id + " " + body.at("model").get<std::string>();
    };
    CHECK(asked("a") == "a gpt");
    CHECK(asked("b") == "b gpt");
    CHECK(contains(asked("other"), "gpt"));
    CHECK(contains(asked("secret"), "gpt"));
    CHECK(asked("any/x/y") == "w x/y");
    CHECK(asked("any/\\u00e4\\\"") == "w \u00e4\"");
    CHECK(asked("any/long-x") == "l one-x-end");  // the longer pattern goes first
    CHECK(asked("fixed-something") == "f always");
    CHECK(asked("wild") == "w 7");
    CHECK(rig.router().models() == std::vector<std::string>{"m", "other", "wild"});
    CHECK(rig.router().resolve("any/x") == "any/*");
    CHECK(rig.router().resolve("a") == "m");
    CHECK(rig.router().resolve("nothing").empty());
    const Reply reply = rig.ask(R"({"model":"nothing","messages":[]})");
    CHECK(reply.status == 400);
    CHECK(error_of(reply).at("param") == "model");
}

TEST_CASE("a form goes through with its model replaced, and costs what it says") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), kLimits)});
    const std::string type = "multipart/form-data; boundary=b";
    const std::string body =
        "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nsound\r\n--b--\r\n";
    const auto facts = std::get<RequestFacts>(read_form(body, type));
    Request request;
    request.endpoint = "/audio/transcriptions";
    request.body = body;
    request.facts = &facts;
    request.generates = false;
    Call call(rig.router(), request);
    run(rig.io, [](Call& c) -> Task<int> {
        co_await c.start();
        while (c.error() == nullptr && !c.answer().done()) co_await c.next();
        co_return 0;
    }(call));
    CHECK(call.error() == nullptr);
    const std::string sent = upstream.last().at("body");
    CHECK(contains(sent, "name=\"model\"\r\n\r\ngpt\r\n"));
    CHECK(contains(sent, "\r\n\r\nsound\r\n--b--\r\n"));
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("each cost policy charges what it says, in the end") {
    const FakeUpstream upstream;  // 9 tokens of prompt, 12 of completion
    const auto charged = [&](const std::string& policy) {
        Rig rig({entry("m", "a", upstream.base(),
                       "tpm: 100000, itpm: 100000, otpm: 100000, weir_cost: " + policy)});
        CHECK(rig.ask(kQuestion).status == 200);
        CHECK(rig.used("a", Unit::input_tokens) == 9);
        CHECK(rig.used("a", Unit::output_tokens) == 12);
        return rig.tokens("a");
    };
    CHECK(charged("sum") == 21);
    CHECK(charged("max") == 50);  // as OpenAI counts: what was asked for
    CHECK(charged("input") == 9);
    CHECK(charged("output") == 12);
    CHECK(charged("split") == 0);
}

TEST_CASE("what answers teach is reserved by the next request") {
    const FakeUpstream upstream;
    upstream.play(R"([{},{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base(), "tpm: 100000, timeout: 0.2"), kOneTry});
    const std::string question =
        R"({"model":"m","messages":[{"role":"user","content":"nine tokens are in this"}]})";
    CHECK(rig.ask(question).status == 200);
    CHECK(rig.tokens("a") == kUsed);
    CHECK(rig.ask(question).status == 408);
    // 9 and a tenth of it, 12 and a half of it: no longer the 1,024 of an unknown completion.
    CHECK(rig.tokens("a") == kUsed + 10 + 18);
}
