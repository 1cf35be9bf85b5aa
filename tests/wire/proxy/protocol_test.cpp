// What a client's bytes meet at the proxy: requests that are whole, broken, slow, early or too
// large.
#include <sys/resource.h>

#include "tests/wire/proxy/proxy_harness.hpp"

using namespace weir::proxy::test;

namespace {

/// Short times, so that patience can be tested; the one at hand only, for a machine may be slow.
std::string with_clients(const std::string& settings) {
    return kConfig + "  clients: {" + settings + "}\n";
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

TEST_CASE("A question is answered through the proxy, with and without /v1") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    for (const char* target : {"/chat/completions", "/v1/chat/completions?a=b"}) {
        const RawAnswer answer = client.post(target, kChat, kKey);
        CHECK(answer.status == 200);
        CHECK(answer.field("content-type") == "application/json");
        CHECK(Json::parse(answer.body)["object"] == "chat.completion");
        CHECK_FALSE(answer.has("connection"));
    }
    const Json last = upstream.last();
    CHECK(last["target"] == "/chat/completions");
    CHECK(last["body"] ==
          R"({"model":"upstream-gpt","messages":[{"role":"user","content":"hello"}]})");
    CHECK(last.dump().find("sk-upstream") != std::string::npos);
    CHECK(last.dump().find("sk-test") == std::string::npos);
}

TEST_CASE("What cannot be understood is refused in OpenAI's shape") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();

    RawAnswer answer = client.post("/v1/chat/completions", R"({"model":"gpt",)", kKey);
    CHECK(answer.status == 400);
    CHECK(error_message(answer.body).rfind("Invalid JSON payload: ", 0) == 0);
    CHECK(Json::parse(answer.body)["error"]["param"] == "request_body");

    answer = client.post("/v1/chat/completions", R"({"messages":[]})", kKey);
    CHECK(answer.status == 400);
    CHECK(Json::parse(answer.body)["error"]["param"] == "model");

    answer = client.post("/v1/chat/completions", R"({"model":"nope","messages":[]})", kKey);
    CHECK(answer.status == 400);
    CHECK(error_message(answer.body).find("model=nope") != std::string::npos);
    CHECK(Json::parse(answer.body)["error"]["type"] == "invalid_request_error");

    answer = client.get("/nowhere", kKey);
    CHECK(answer.status == 404);
    CHECK(answer.body == R"({"detail":"Not Found"})");

    answer = client.get("/v1/chat/completions", kKey);
    CHECK(answer.status == 405);
    CHECK(answer.field("allow") == "POST");

    // After all of it the connection is as good as new.
    CHECK(client.post("/v1/chat/completions", kChat, kKey).status == 200);
}

TEST_CASE("Keys that are missing, malformed or wrong are refused as LiteLLM does") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const auto refused = [&](std::string_view lines) {
        const RawAnswer answer = client.post("/v1/chat/completions", kChat, lines);
        CHECK(answer.status == 401);
        CHECK(answer.body.find("sk-wrong") == std::string::npos);
        return Json::parse(answer.body)["error"];
    };
    CHECK(refused("")["message"] == "Authentication Error, No api key passed in.");
    CHECK(refused("")["type"] == "auth_error");
    CHECK(refused("authorization: sk-test\r\n")["message"] ==
          "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.");
    CHECK(refused("authorization: Bearer sk-wrong\r\n")["type"] == "token_not_found_in_db");
    CHECK(upstream.arrivals().empty());
    CHECK(client.post("/v1/chat/completions", kChat, "api-key: sk-test\r\n").status == 200);
    CHECK(client.post("/v1/chat/completions", kChat, "x-api-key: sk-test\r\n").status == 200);
    CHECK(proxy.log().find("sk-") == std::string::npos);
}

TEST_CASE("A body over the limit is refused, announced or not") {
    Upstream upstream;
    Proxy proxy(kConfig + "  max_body_bytes: 1000\n", upstream.url());
    const std::string large(5000, ' ');
    const bool announced = GENERATE(true, false);
    RawClient client = proxy.client();
    if (announced) {
        client.ask("POST", "/v1/chat/completions", large, kKey);
    } else {
        client.send("POST /v1/chat/completions HTTP/1.1\r\n" + std::string(kKey) +
                    "transfer-encoding: chunked\r\n\r\n1388\r\n" + large + "\r\n0\r\n\r\n");
    }
    const RawAnswer answer = client.answer();
    CHECK(answer.status == 413);
    CHECK(error_message(answer.body).find("1000 bytes") != std::string::npos);
    CHECK(answer.field("connection") == "close");
    CHECK(client.ended());
    CHECK(client.error() == 0);
}

TEST_CASE("A head over the limit, and bytes that are no request") {
    Upstream upstream;
    Proxy proxy(with_clients("max_head_bytes: 1024"), upstream.url());
    RawClient large = proxy.client();
    large.send("GET /v1/models HTTP/1.1\r\nx-large: " + std::string(3000, 'x') + "\r\n\r\n");
    CHECK(large.answer().status == 431);
    CHECK(large.ended());

    RawClient endless = proxy.client();
    endless.send("GET /v1/models HTTP/1.1\r\nx-large: " + std::string(3000, 'x'));
    CHECK(endless.answer().status == 431);

    RawClient nonsense = proxy.client();
    nonsense.send("what is this\r\n\r\n");
    const RawAnswer answer = nonsense.answer();
    CHECK(answer.status == 400);
    CHECK(error_message(answer.body).find("HTTP/1.1") != std::string::npos);
    CHECK(nonsense.ended());
}

TEST_CASE("Framings that two parsers may read differently are refused") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    const std::string begin = "POST /v1/chat/completions HTTP/1.1\r\n" + std::string(kKey);
    const char* framing =
        GENERATE("content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
                 "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                 "content-length: -1\r\n\r\n", "transfer-encoding: chunked\r\n\r\nxyz\r\n");
    RawClient client = proxy.client();
    client.send(begin + framing);
    CHECK(client.answer().status == 400);
    CHECK(client.ended());
    CHECK(upstream.arrivals().empty());
}

TEST_CASE("A body byte by byte, in chunks, and after leave to send it") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const std::string begin = "POST /v1/chat/completions HTTP/1.1\r\n" + std::string(kKey);
    const std::string length =
        "content-length: " + std::to_string(std::string(kChat).size()) + "\r\n";
    for (const char byte : begin + length + "\r\n" + kChat) client.send({&byte, 1});
    CHECK(client.answer().status == 200);

    client.send(begin + "transfer-encoding: chunked\r\n\r\n");
    for (const char byte : std::string(kChat)) client.send(std::string("1\r\n") + byte + "\r\n");
    client.send("0\r\nx-trailer: 1\r\n\r\n");
    CHECK(client.answer().status == 200);
    CHECK(upstream.last()["body"] ==
          R"({"model":"upstream-gpt","messages":[{"role":"user","content":"hello"}]})");

    client.send(begin + "expect: 100-continue\r\n" + length + "\r\n");
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(kChat);
    CHECK(client.answer().status == 200);
}

TEST_CASE("Nobody is asked to send a body that would be too large") {
    Upstream upstream;
    Proxy proxy(kConfig + "  max_body_bytes: 1000\n", upstream.url());
    RawClient client = proxy.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\n" + std::string(kKey) +
                "expect: 100-continue\r\ncontent-length: 1001\r\n\r\n");
    CHECK(client.answer().status == 413);
}

TEST_CASE("Requests one after the other on a connection, also without waiting for the answers") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    for (int i = 0; i < 3; ++i)
        CHECK(client.post("/v1/chat/completions", kChat, kKey).status == 200);
    for (int i = 0; i < 4; ++i) {
        client.ask("POST", "/v1/chat/completions", kChat, kKey);
        client.ask("GET", "/v1/models", "", kKey);
    }
    for (int i = 0; i < 4; ++i) {
        CHECK(client.answer().body.find("chatcmpl-") != std::string::npos);
        CHECK(client.answer().body.find(R"("object":"list")") != std::string::npos);
    }
    CHECK(upstream.arrivals().size() == 7);
    CHECK(upstream.arrivals().back()["connection"] == 1);  // and one connection further on
    CHECK(proxy.connections() == 1);
}

TEST_CASE("The next request, come early, is not waited for in a loop") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"stall_ms":400}])");
    RawClient client = proxy.client();
    const double before = cpu_seconds();
    client.ask("POST", "/v1/chat/completions", kChat, kKey);
    REQUIRE(wait_until([&] { return !upstream.arrivals().empty(); }));
    client.ask("GET", "/v1/models", "", kKey);
    CHECK(client.answer().status == 200);
    CHECK(client.answer().status == 200);
    CHECK(cpu_seconds() - before < 0.3);
}

TEST_CASE("HTTP/1.0 and connection: close end with the answer") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient old = proxy.client();
    old.send("GET /v1/models HTTP/1.0\r\n" + std::string(kKey) + "\r\n");
    CHECK(old.answer().field("connection") == "close");
    CHECK(old.ended());
    RawClient once = proxy.client();
    CHECK(once.get("/v1/models", std::string(kKey) + "connection: close\r\n").field("connection") ==
          "close");
    CHECK(once.ended());
}

TEST_CASE("HTTP/1.0 may keep its connection if it asks, and is told so") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const std::string keep = std::string(kKey) + "connection: keep-alive\r\n";
    for (int i = 0; i < 2; ++i) {
        client.send("GET /v1/models HTTP/1.0\r\n" + keep + "\r\n");
        CHECK(client.answer().field("connection") == "keep-alive");
    }
    // It knows no 100, and must not be sent one: it would take it for the answer.
    client.send("POST /v1/chat/completions HTTP/1.0\r\n" + keep + "expect: 100-continue\r\ncontent-length: " +
                std::to_string(std::string(kChat).size()) + "\r\n\r\n" + kChat);
    const RawAnswer answer = client.answer();
    CHECK(answer.status == 200);
    CHECK(answer.field("connection") == "keep-alive");
    CHECK(proxy.connections() == 1);
}

TEST_CASE("A body that nobody asked for is read over, and the next request is understood") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    for (const char* target : {"/v1/models", "/health/liveness", "/nowhere", "/v1/chat/completions"}) {
        client.ask("GET", target, "GET /smuggled HTTP/1.1\r\n\r\n", kKey);
        CHECK(client.answer().status != 400);
    }
    client.ask("HEAD", "/v1/chat/completions", "", kKey);
    CHECK(client.read_until("\r\n\r\n").find("405") != std::string::npos);
    CHECK(client.get("/v1/models", kKey).status == 200);
    CHECK(proxy.connections() == 1);
}

TEST_CASE("HEAD has the head of GET and nothing else") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    client.ask("HEAD", "/health/liveliness", "");
    const std::string head = client.read_until("\r\n\r\n");
    CHECK(head.find("content-length: 12\r\n") != std::string::npos);
    CHECK(client.get("/health/liveliness").body == R"("I'm alive!")");
}

TEST_CASE("Browsers may ask, if they have a key") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    client.ask("OPTIONS", "/v1/chat/completions", "",
               "origin: http://page.test\r\naccess-control-request-method: POST\r\n"
               "access-control-request-headers: authorization\r\n");
    const RawAnswer leave = client.answer();
    CHECK(leave.status == 200);
    CHECK(leave.field("access-control-allow-origin") == "*");
    CHECK(leave.field("access-control-allow-headers") == "authorization");
    CHECK(leave.field("access-control-allow-methods").find("POST") != std::string::npos);
    CHECK(client.post("/v1/chat/completions", kChat, "origin: http://page.test\r\n").status == 401);
    const RawAnswer answer = client.post("/v1/chat/completions", kChat,
                                         std::string(kKey) + "origin: http://page.test\r\n");
    CHECK(answer.status == 200);
    CHECK(answer.field("access-control-allow-origin") == "*");
    CHECK_FALSE(
        client.post("/v1/chat/completions", kChat, kKey).has("access-control-allow-origin"));
}

TEST_CASE("A client that is slow with a head or a body is told and let go") {
    Upstream upstream;
    const bool head = GENERATE(true, false);
    Proxy proxy(with_clients(head ? "head_timeout_seconds: 0.1" : "body_timeout_seconds: 0.1"),
                upstream.url());
    RawClient client = proxy.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\n" + std::string(kKey));
    if (!head) client.send("content-length: 100\r\n\r\n{\"model\":");
    const RawAnswer answer = client.answer();
    CHECK(answer.status == 408);
    CHECK(error_message(answer.body).find(head ? "head" : "body") != std::string::npos);
    CHECK(client.ended());
    CHECK(wait_until([&] { return proxy.connections() == 0; }));
}

TEST_CASE("A body that comes slowly but steadily is no slow client") {
    Upstream upstream;
    Proxy proxy(with_clients("body_timeout_seconds: 2"), upstream.url());
    RawClient client = proxy.client();
    const std::string body = kChat;
    client.send("POST /v1/chat/completions HTTP/1.1\r\n" + std::string(kKey) +
                "content-length: " + std::to_string(body.size()) + "\r\n\r\n");
    for (std::size_t i = 0; i < body.size(); i += 3) {
        client.send(body.substr(i, 3));
        pause_for(std::chrono::milliseconds(5));
    }
    CHECK(client.answer().status == 200);
}

TEST_CASE("An idle connection is closed without a word") {
    Upstream upstream;
    Proxy proxy(with_clients("idle_timeout_seconds: 0.1"), upstream.url());
    RawClient client = proxy.client();
    CHECK(client.get("/v1/models", kKey).status == 200);
    CHECK(client.read_all().empty());
    CHECK(client.error() == 0);
    RawClient silent = proxy.client();
    CHECK(silent.read_all().empty());
    CHECK(wait_until([&] { return proxy.connections() == 0; }));
}

TEST_CASE("One connection too many is told so, and room is made again") {
    Upstream upstream;
    Proxy proxy(with_clients("max_connections: 2"), upstream.url());
    RawClient first = proxy.client();
    RawClient second = proxy.client();
    CHECK(first.get("/v1/models", kKey).status == 200);
    CHECK(second.get("/v1/models", kKey).status == 200);
    RawClient third = proxy.client();
    const RawAnswer answer = third.post("/v1/chat/completions", kChat, kKey);
    CHECK(answer.status == 503);
    CHECK(error_message(answer.body) == "Too many connections.");
    CHECK(third.ended());
    first.leave();
    REQUIRE(wait_until([&] { return proxy.connections() == 1; }));
    CHECK(proxy.client().get("/v1/models", kKey).status == 200);
    CHECK(second.get("/v1/models", kKey).status == 200);
}

TEST_CASE("Draining ends idle connections, finishes what is under way and takes nobody further") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"stall_ms":200}])");
    RawClient idle = proxy.client();
    CHECK(idle.get("/v1/models", kKey).status == 200);
    RawClient busy = proxy.client();
    busy.ask("POST", "/v1/chat/completions", kChat, kKey);
    RawClient asking = proxy.client();
    asking.send("GET /health/readiness HTTP/1.1\r\n");
    REQUIRE(wait_until([&] { return !upstream.arrivals().empty() && proxy.connections() == 3; }));
    proxy.drain();
    CHECK(idle.read_all().empty());
    const RawAnswer answer = busy.answer();
    CHECK(answer.status == 200);
    CHECK(answer.field("connection") == "close");
    CHECK(busy.ended());
    asking.send("\r\n");
    const RawAnswer readiness = asking.answer();
    CHECK(readiness.status == 503);
    CHECK(Json::parse(readiness.body)["status"] == "draining");
    CHECK(wait_until([&] { return proxy.connections() == 0; }));
    CHECK_THROWS(proxy.client());
}

TEST_CASE(
    "A reload is obeyed by open connections, and idle ones do not keep the old configuration") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    CHECK(client.post("/v1/chat/completions", kChat, kKey).status == 200);
    std::string other = kConfig;
    other.replace(other.find("model_name: gpt"), 15, "model_name: new");
    proxy.reload(other, upstream.url());
    CHECK(wait_until([&] { return proxy.setups() == 1; }));
    CHECK(client.post("/v1/chat/completions", kChat, kKey).status == 400);
    CHECK(client.get("/v1/models", kKey).body.find(R"("id":"new")") != std::string::npos);
}
