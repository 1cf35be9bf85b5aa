// The fake server as a whole over real sockets: what it promises to whoever tests against it.
#include "fake_server/server.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/raw_client.hpp"
#include "tests/support/wait.hpp"
#include "tests/wire/fake_server/running.hpp"

using namespace weir::fake_server;
using namespace weir::test;
using weir::fake_server::test::Running;
using Json = nlohmann::json;

namespace {

constexpr const char* kQuestion = R"({"model":"gpt","messages":[{"role":"user","content":"hi"}]})";

// What the published Python server answers, whatever it is asked.
constexpr const char* kPublished = R"({
    "id": "chatcmpl-123", "object": "chat.completion", "created": 1677652288, "model": null,
    "system_fingerprint": "fp_44709d6fcb",
    "choices": [{"index": 0, "message": {"role": "assistant",
                 "content": "\n\nHello there, how may I assist you today?"},
                 "logprobs": null, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}})";

Json ledger_of(std::uint16_t port) { return Json::parse(fetch(port, "GET", "/__ledger").body); }

void await_arrivals(std::uint16_t port, std::size_t count) {
    REQUIRE(wait_until([&] { return ledger_of(port)["arrivals"].size() == count; }));
}

void load_script(std::uint16_t port, const std::string& steps) {
    REQUIRE(fetch(port, "POST", "/__script", steps).status == 200);
}

// The JSON of each event of a stream, and "[DONE]".
std::vector<std::string> events_of(const std::string& body) {
    std::vector<std::string> events;
    std::size_t at = 0;
    while (at < body.size()) {
        const std::size_t end = body.find("\n\n", at);
        REQUIRE(end != std::string::npos);
        REQUIRE(body.compare(at, 6, "data: ") == 0);
        events.push_back(body.substr(at + 6, end - at - 6));
        at = end + 2;
    }
    return events;
}

}  // namespace

TEST_CASE("Both routes answer a question with the published JSON") {
    Running running;
    for (const char* target : {"/chat/completions", "/v1/chat/completions"}) {
        const RawAnswer answer = fetch(running.port(), "POST", target, kQuestion);
        CHECK(answer.status == 200);
        CHECK(answer.field("content-type") == "application/json");
        CHECK(Json::parse(answer.body) == Json::parse(kPublished));
    }
}

TEST_CASE("A hundred questions a minute are answered, and then refused in the published words") {
    Running running;
    RawClient client(running.port());
    for (int i = 0; i < 103; ++i) {
        client.ask("POST", i % 2 == 0 ? "/chat/completions" : "/v1/chat/completions", kQuestion);
        const RawAnswer answer = client.answer();
        INFO(i);
        CHECK(answer.status == (i < 100 ? 200 : 429));
        if (i >= 100) CHECK(Json::parse(answer.body) == Json{{"detail", "Rate Limited!"}});
    }
    const Json ledger = ledger_of(running.port());
    CHECK(ledger["rpm"] == 100);
    CHECK(ledger["summary"]["accepted"] == 100);
    CHECK(ledger["summary"]["refused"] == 3);
    REQUIRE(ledger["arrivals"].size() == 103);
    CHECK(ledger["arrivals"][99]["verdict"] == "accepted");
    CHECK(ledger["arrivals"][100]["verdict"] == "refused");
    std::int64_t before = 0;
    for (const Json& arrival : ledger["arrivals"]) {
        CHECK(arrival["monotonic_ns"] >= before);
        before = arrival["monotonic_ns"];
    }
    CHECK(ledger["now_monotonic_ns"] >= before);
}

TEST_CASE("Without a limit nothing is refused") {
    ServerOptions options;
    options.desk.window.requests_max = 0;
    Running running(options);
    RawClient client(running.port());
    for (int i = 0; i < 300; ++i) {
        client.ask("POST", "/chat/completions", kQuestion);
        REQUIRE(client.answer().status == 200);
    }
    CHECK(ledger_of(running.port())["summary"]["accepted"] == 300);
}

TEST_CASE("A reset ledger is empty, and the limit goes on") {
    ServerOptions options;
    options.desk.window.requests_max = 2;
    Running running(options);
    for (int i = 0; i < 2; ++i) fetch(running.port(), "POST", "/chat/completions", kQuestion);
    const RawAnswer reset = fetch(running.port(), "DELETE", "/__ledger");
    CHECK(reset.status == 200);
    CHECK(Json::parse(reset.body) == Json{{"cleared", 2}});
    CHECK(ledger_of(running.port())["arrivals"].empty());
    CHECK(fetch(running.port(), "POST", "/chat/completions", kQuestion).status == 429);
    CHECK(ledger_of(running.port())["summary"]["refused"] == 1);
}

TEST_CASE("An unknown route is 404, a known one with the wrong method 405") {
    Running running;
    for (const char* target : {"/", "/chat", "/v2/chat/completions", "/chat/completions/"}) {
        const RawAnswer answer = fetch(running.port(), "POST", target, kQuestion);
        INFO(target);
        CHECK(answer.status == 404);
        CHECK(Json::parse(answer.body) == Json{{"detail", "Not Found"}});
    }
    for (const char* method : {"GET", "PUT", "DELETE", "PATCH"}) {
        const RawAnswer answer = fetch(running.port(), method, "/v1/chat/completions");
        INFO(method);
        CHECK(answer.status == 405);
        CHECK(Json::parse(answer.body) == Json{{"detail", "Method Not Allowed"}});
        CHECK(answer.field("allow") == "POST");
    }
    CHECK(ledger_of(running.port())["arrivals"].empty());
}

TEST_CASE("A browser of any origin may ask and read") {
    Running running;
    const RawAnswer asked = fetch(running.port(), "OPTIONS", "/v1/chat/completions", "",
                                   "Origin: http://page.test\r\nAccess-Control-Request-Method: POST\r\n"
                                   "Access-Control-Request-Headers: authorization\r\n");
    CHECK(asked.status == 200);
    CHECK(asked.field("access-control-allow-origin") == "http://page.test");
    CHECK(asked.field("access-control-allow-headers") == "authorization");
    CHECK(asked.field("access-control-allow-credentials") == "true");
    const RawAnswer answer = fetch(running.port(), "POST", "/v1/chat/completions", kQuestion,
                                    "Origin: http://page.test\r\n");
    CHECK(answer.status == 200);
    CHECK(answer.field("access-control-allow-origin") == "*");
}

TEST_CASE("A stream ends in DONE, and tells its usage last when asked to") {
    Running running;
    for (const bool usage : {false, true}) {
        Json question{{"model", "gpt"}, {"stream", true}};
        if (usage) question["stream_options"] = {{"include_usage", true}};
        const RawAnswer answer = fetch(running.port(), "POST", "/chat/completions", question.dump());
        CHECK(answer.status == 200);
        CHECK(answer.field("content-type").starts_with("text/event-stream"));
        const auto events = events_of(answer.body);
        REQUIRE(events.size() > 2);
        CHECK(events.back() == "[DONE]");
        std::string content;
        for (std::size_t i = 0; i + 1 < events.size(); ++i) {
            const Json chunk = Json::parse(events[i]);
            CHECK(chunk["object"] == "chat.completion.chunk");
            const bool is_last = i + 2 == events.size();
            const bool has_usage = chunk.contains("usage") && !chunk["usage"].is_null();
            CHECK(has_usage == (usage && is_last));
            if (has_usage) {
                CHECK(chunk["usage"]["total_tokens"] == 21);
                CHECK(chunk["choices"].empty());
            } else {
                content += chunk["choices"][0]["delta"].value("content", "");
            }
        }
        // One event for each of the twelve tokens: the text begins again where its words end.
        CHECK(content.starts_with("\n\nHello there, how may I assist you today?"));
    }
}

TEST_CASE("Latency is waited for before the first byte") {
    ServerOptions options;
    options.desk.pace.latency_ns = 60 * kNanosPerMilli;
    Running running(options);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(fetch(running.port(), "POST", "/chat/completions", kQuestion).status == 200);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(60));
}

TEST_CASE("A taken port makes the server take the next one") {
    Running first;
    std::vector<std::uint16_t> taken;
    ServerOptions options;
    options.port = first.port();
    options.on_port_taken = [&taken](std::uint16_t port) { taken.push_back(port); };
    Server second(options);
    CHECK(second.port() > first.port());
    REQUIRE(!taken.empty());
    CHECK(taken.front() == first.port());
    CHECK(second.url() == "http://127.0.0.1:" + std::to_string(second.port()));
}

TEST_CASE("A host that is no address is refused") {
    ServerOptions options;
    options.host = "example.invalid";
    CHECK_THROWS_WITH(Server(options), "'example.invalid' is not an IP address or localhost");
    options.host = "192.0.2.1";
    options.port = 0;
    CHECK_THROWS_AS(Server(options), BindError);
}

TEST_CASE("Stopping ends idle connections and lets the answer under way finish") {
    Running running;
    load_script(running.port(), R"([{"stall_ms":100}])");
    RawClient idle(running.port());
    idle.ask("GET", "/__health");
    idle.answer();
    RawClient busy(running.port());
    busy.ask("POST", "/chat/completions", kQuestion);
    await_arrivals(running.port(), 1);
    running.server().stop();
    CHECK(idle.ended());
    CHECK(busy.answer().status == 200);
    CHECK(busy.ended());
    running.wait();
}

TEST_CASE("Stopping does not wait for ever") {
    ServerOptions options;
    options.drain_ns = 20 * kNanosPerMilli;
    Running running(options);
    load_script(running.port(), R"([{"stall_ms":60000}])");
    RawClient busy(running.port());
    busy.ask("POST", "/chat/completions", kQuestion);
    await_arrivals(running.port(), 1);
    running.server().stop();
    running.wait();
    CHECK(busy.ended());
}
