// Answers on their way through the proxy, and what happens when either side fails meanwhile.
#include "tests/wire/proxy/proxy_harness.hpp"

using namespace weir::proxy::test;

namespace {

/// How the latest arrival at `upstream` ended, once it has.
std::string ended(Upstream& upstream) {
    std::string end;
    wait_until([&] {
        const Json arrivals = upstream.arrivals();
        if (!arrivals.empty()) end = arrivals.back()["end"];
        return !end.empty() && end != "running";
    });
    return end;
}

/// An upstream that is asked for usage says `"usage":null` in every other event.
std::string without_null_usage(std::string text) {
    const std::string null = R"("usage":null,)";
    for (std::size_t at; (at = text.find(null)) != std::string::npos;) text.erase(at, null.size());
    return text;
}

/// What the upstream itself answers, without the proxy.
std::string direct(Upstream& upstream, const std::string& body) {
    return RawClient(upstream.port()).post("/chat/completions", body).body;
}

}  // namespace

TEST_CASE("A stream passes byte for byte") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    const std::string asked =
        R"({"model":"gpt","stream":true,"stream_options":{"include_usage":true},"messages":[]})";
    const std::string expected = direct(upstream, asked);
    RawClient client = proxy.client();
    const RawAnswer answer = client.post("/v1/chat/completions", asked, kKey);
    CHECK(answer.status == 200);
    CHECK(answer.field("content-type").rfind("text/event-stream", 0) == 0);
    CHECK(answer.body == expected);
    CHECK(answer.body.find(R"("usage":{)") != std::string::npos);
    CHECK(client.get("/v1/models", kKey).status == 200);
}

TEST_CASE("Usage that only the proxy asked for is taken out again, and is known all the same") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    const std::string expected = direct(upstream, kStream);
    upstream.script(R"([{"chunk_bytes":3,"tokens":[5,12]}])");
    RawClient client = proxy.client();
    const RawAnswer answer = client.post("/v1/chat/completions", kStream, kKey);
    CHECK(without_null_usage(answer.body) == expected);
    CHECK(upstream.last()["body"].get<std::string>().find("include_usage") != std::string::npos);
    CHECK(Json::parse(proxy.log())["total_tokens"] == 17);
}

TEST_CASE("Usage is asked for and taken out in streams of plain completions, too") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    const std::string asked = R"({"model":"gpt","stream":true,"prompt":"hello"})";
    const std::string expected = RawClient(upstream.port()).post("/completions", asked).body;
    upstream.script(R"([{"tokens":[5,12]}])");
    const RawAnswer answer = proxy.client().post("/v1/completions", asked, kKey);
    CHECK(without_null_usage(answer.body) == expected);
    CHECK(upstream.last()["body"].get<std::string>().find("include_usage") != std::string::npos);
    CHECK(Json::parse(proxy.log())["total_tokens"] == 17);
    // Others do not know the field, and might refuse it.
    proxy.client().post("/v1/responses", R"({"model":"gpt","stream":true,"input":"hello"})", kKey);
    CHECK(upstream.last()["body"].get<std::string>().find("include_usage") == std::string::npos);
}

TEST_CASE("Usage in all streams is left in them where it is configured") {
    Upstream upstream;
    std::string config = kConfig;
    const std::string place = "{master_key: sk-test";
    config.insert(config.find(place) + place.size(), ", always_include_stream_usage: true");
    Proxy proxy(config, upstream.url());
    RawClient client = proxy.client();
    CHECK(client.post("/v1/chat/completions", kStream, kKey).body.find(R"("usage":{)") != std::string::npos);
}

TEST_CASE("An answer that is no error says how long it took, and a stream's first piece is measured") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const std::string duration = "x-litellm-response-duration-ms";
    const auto stalled = [&](const std::string& body) {
        upstream.script(R"([{"stall_ms":50}])");
        return client.post("/v1/chat/completions", body, kKey);
    };
    CHECK(std::stod(stalled(kChat).field(duration)) >= 50);
    const auto first_pieces = [&] { return client.get("/metrics").body; };
    const std::string count = R"(litellm_llm_api_time_to_first_token_metric_count{model="gpt"} )";
    CHECK(first_pieces().find(count) == std::string::npos);
    CHECK(std::stod(stalled(kStream).field(duration)) >= 50);
    CHECK(wait_until([&] { return first_pieces().find(count + "1\n") != std::string::npos; }));
    upstream.script(R"([{"status":500}])");
    CHECK_FALSE(client.post("/v1/chat/completions", kStream, kKey).has(duration));
    CHECK_FALSE(client.post("/v1/chat/completions", R"({"model":"x"})", kKey).has(duration));
    CHECK_FALSE(client.get("/v1/models", kKey).has(duration));
    CHECK(first_pieces().find(count + "1\n") != std::string::npos);
}

TEST_CASE("Pieces of a stream come as they come") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"event_delay_ms":60000}])");
    RawClient client = proxy.client();
    client.ask("POST", "/v1/chat/completions", kStream, kKey);
    CHECK(client.read_until("\n\n").find("data: {") != std::string::npos);
    CHECK(upstream.arrivals().back()["end"] == "running");
}

TEST_CASE("HTTP/1.0 gets a stream without chunks") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    const std::string expected = direct(upstream, kStream);
    RawClient client = proxy.client();
    client.send("POST /v1/chat/completions HTTP/1.0\r\n" + std::string(kKey) + "content-length: " +
                std::to_string(std::string(kStream).size()) + "\r\n\r\n" + kStream);
    const RawAnswer answer = client.answer();
    CHECK_FALSE(answer.has("transfer-encoding"));
    CHECK(without_null_usage(answer.body) == expected);
}

TEST_CASE("An upstream's own error passes as it is") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"status":400,"body":{"error":{"message":"no"}},"headers":{"x-thing":"1"}},
                        {"status":429,"body":"busy"},{"status":429,"headers":{"retry-after":7}}])");
    RawClient client = proxy.client();
    const RawAnswer bad = client.post("/v1/chat/completions", kChat, kKey);
    CHECK(bad.status == 400);
    CHECK(bad.body == R"({"error":{"message":"no"}})");
    CHECK(bad.field("llm_provider-x-thing") == "1");
    const RawAnswer busy = client.post("/v1/chat/completions", kChat, kKey);
    CHECK(busy.status == 429);
    CHECK(busy.field("retry-after") == "1");
    CHECK(busy.field("retry-after-ms") == "1000");
    const RawAnswer later = client.post("/v1/chat/completions", kChat, kKey);
    CHECK(later.status == 429);
    CHECK(later.field("retry-after") == "7");
    CHECK_FALSE(later.has("retry-after-ms"));
}

TEST_CASE("A stream that is cut because its time is up says so") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"event_delay_ms":100,"tokens":[9,99]}])");
    RawClient client = proxy.client();
    const RawAnswer cut = client.post("/v1/chat/completions",
                                      R"({"model":"gpt","messages":[],"stream":true,"timeout":1})", kKey);
    CHECK(cut.status == 200);
    CHECK(cut.body.find("took longer than it may in all") != std::string::npos);
    CHECK(cut.body.find("timeout_error") != std::string::npos);
    CHECK(cut.body.find("[DONE]") == std::string::npos);
}

TEST_CASE("An upstream that is not there is a clear error") {
    Proxy proxy(kConfig, "http://127.0.0.1:1");
    RawClient client = proxy.client();
    const RawAnswer answer = client.post("/v1/chat/completions", kChat, kKey);
    CHECK(answer.status == 500);
    CHECK(error_message(answer.body).find("refused the connection") != std::string::npos);
    CHECK(Json::parse(answer.body)["error"]["type"] == "api_connection_error");
    CHECK(client.get("/v1/models", kKey).status == 200);
}

TEST_CASE("An upstream that closes, talks nonsense or is slow is a clear error") {
    Upstream upstream;
    Proxy proxy(kConfig + "  upstream_timeout_seconds: 0.2\n", upstream.url());
    const char* step = GENERATE(R"([{"close_before_response":true}])", R"([{"malformed":"http"}])",
                                R"([{"stall_ms":60000}])");
    upstream.script(step);
    RawClient client = proxy.client();
    const RawAnswer answer = client.post("/v1/chat/completions", kChat, kKey);
    CHECK(answer.status >= 408);
    CHECK(answer.status != 429);
    CHECK_FALSE(error_message(answer.body).empty());
    CHECK(client.post("/v1/chat/completions", kChat, kKey).status == 200);
}

TEST_CASE("A stream that breaks off ends with an error event") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    const bool reset = GENERATE(false, true);
    upstream.script(reset ? R"([{"cut_after_bytes":300,"reset":true}])"
                          : R"([{"cut_after_events":2}])");
    RawClient client = proxy.client();
    const RawAnswer answer = client.post("/v1/chat/completions", kStream, kKey);
    CHECK(answer.status == 200);
    const std::size_t last = answer.body.rfind("\n\ndata: ");
    REQUIRE(last != std::string::npos);
    CHECK_FALSE(error_message(answer.body.substr(last + 8)).empty());
    CHECK(answer.body.find("[DONE]") == std::string::npos);
    CHECK(client.ended());
    const Json log = Json::parse(proxy.log());
    CHECK(log["status"] == 200);
}

TEST_CASE("A stream whose upstream falls silent ends with an error event, too") {
    Upstream upstream;
    Proxy proxy(kConfig + "  upstream_timeout_seconds: 0.3\n", upstream.url());
    upstream.script(R"([{"event_delay_ms":60000}])");
    RawClient client = proxy.client();
    const RawAnswer answer = client.post("/v1/chat/completions", kStream, kKey);
    CHECK(answer.status == 200);
    const std::size_t last = answer.body.rfind("\n\ndata: ");
    REQUIRE(last != std::string::npos);
    CHECK_FALSE(error_message(answer.body.substr(last + 8)).empty());
    CHECK(answer.body.find("[DONE]") == std::string::npos);
    CHECK(ended(upstream) == "client_gone");
}

TEST_CASE("An answer that is not a stream and breaks off is cut, too") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"malformed":"length"}])");
    RawClient client = proxy.client();
    client.ask("POST", "/v1/chat/completions", kChat, kKey);
    const std::string head = client.read_until("\r\n\r\n");
    const std::size_t at = head.find("content-length: ");
    REQUIRE(at != std::string::npos);
    CHECK(client.read_all().size() < std::stoul(head.substr(at + 16)));
}

TEST_CASE("A client that leaves cancels the upstream's work") {
    Upstream upstream;
    Proxy proxy(kConfig + "  clients: {half_closed_timeout_seconds: 0.05}\n", upstream.url());
    const int how = GENERATE(0, 1, 2);
    upstream.script(how == 2 ? R"([{"event_delay_ms":20}])" : R"([{"stall_ms":60000}])");
    RawClient client = proxy.client();
    client.ask("POST", "/v1/chat/completions",
               how == 2 ? R"({"model":"gpt","stream":true,"max_tokens":9})" : kChat, kKey);
    if (how == 2) {
        CHECK(client.read_until("\n\n").find("data: {") != std::string::npos);
        client.reset();  // within the stream
    } else {
        REQUIRE(wait_until([&] { return !upstream.arrivals().empty(); }));
        how == 0 ? client.leave() : client.reset();
    }
    CHECK(ended(upstream) == "client_gone");
    CHECK(wait_until([&] { return proxy.connections() == 0; }));
    CHECK(Json::parse(proxy.log())["status"] == (how == 2 ? 200 : 499));
}

TEST_CASE("A client that sent its next request early and left is noticed, too") {
    Upstream upstream;
    Proxy proxy(kConfig + "  clients: {half_closed_timeout_seconds: 0.05}\n", upstream.url());
    upstream.script(R"([{"stall_ms":60000}])");
    RawClient client = proxy.client();
    client.ask("POST", "/v1/chat/completions", kChat, kKey);
    REQUIRE(wait_until([&] { return !upstream.arrivals().empty(); }));
    client.ask("GET", "/v1/models", "", kKey);
    client.leave();
    CHECK(ended(upstream) == "client_gone");
}

TEST_CASE("A client that has closed its sending side still gets its answer") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    upstream.script(R"([{"stall_ms":100}])");
    RawClient client = proxy.client();
    client.ask("POST", "/v1/chat/completions", kChat, kKey);
    client.half_close();
    CHECK(client.answer().status == 200);
    CHECK(client.ended());
}

TEST_CASE("A slow reader holds the upstream back, and is let go in the end") {
    Upstream upstream;
    const bool reads = GENERATE(true, false);
    Proxy proxy(kConfig + "  clients: {write_timeout_seconds: " + (reads ? "20" : "0.2") + "}\n",
                upstream.url());
    // Far more than all the socket buffers on the way can hold.
    const std::size_t size = 24u << 20;
    const std::string large = R"({"data":")" + std::string(size, 'x') + R"("})";
    upstream.script(Json::array({{{"body", large}}}).dump());
    RawClient client(proxy.port(), 4096);
    client.ask("POST", "/v1/chat/completions", kChat, kKey);
    CHECK(client.read(100).size() == 100);
    if (reads) {
        pause_for(std::chrono::milliseconds(300));
        CHECK(upstream.arrivals().back()["end"] == "running");
        CHECK(client.read(1u << 20).size() == 1u << 20);
        CHECK(upstream.arrivals().back()["end"] == "running");
    } else {
        CHECK(ended(upstream) == "client_gone");
        CHECK(wait_until([&] { return proxy.connections() == 0; }));
    }
}

TEST_CASE("Sound and other bytes pass unchanged, and forms have their model replaced") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const std::string direct_sound =
        RawClient(upstream.port()).post("/audio/speech", R"({"model":"m","input":"a"})").body;
    const RawAnswer sound = client.post("/v1/audio/speech", R"({"model":"gpt","input":"a"})", kKey);
    CHECK(sound.status == 200);
    CHECK(sound.body == direct_sound);

    const std::string part = "--xyz\r\nContent-Disposition: form-data; name=";
    const std::string file =
        part +
        "\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\x01\x02\xff--xy\r\n";
    const std::string form =
        file + part + "\"model\"\r\n\r\ngpt\r\n" + part + "\"num_retries\"\r\n\r\n3\r\n--xyz--\r\n";
    const RawAnswer text =
        client.post("/v1/audio/transcriptions", form,
                    std::string(kKey) + "content-type: multipart/form-data; boundary=xyz\r\n");
    CAPTURE(text.body);
    CHECK(text.status == 200);
    const Json last = upstream.last();
    const std::string expected = file + part + "\"model\"\r\n\r\nupstream-gpt\r\n--xyz--\r\n";
    CHECK(last["body_bytes"] == expected.size());
    CHECK(last["target"] == "/audio/transcriptions");
    CHECK(client
              .post("/v1/audio/transcriptions", "--xyz--\r\n",
                    std::string(kKey) + "content-type: multipart/form-data; boundary=xyz\r\n")
              .status == 400);
}

TEST_CASE("What the head says about retries and patience goes before the body") {
    Upstream upstream;
    std::string config = kConfig;
    config.replace(config.find("{num_retries: 0}"), 16, "{num_retries: 1, disable_cooldowns: true}");
    Proxy proxy(config, upstream.url());
    upstream.script(R"([{"status":500}])");
    RawClient client = proxy.client();
    const std::string never = std::string(kKey) + "x-litellm-num-retries: 0\r\n";
    CHECK(client.post("/v1/chat/completions", R"({"model":"gpt","num_retries":3})", never).status == 500);
    upstream.script(R"([{"status":500}])");
    CHECK(client.post("/v1/chat/completions", kChat, kKey).status == 200);
    upstream.script(R"([{"stall_ms":60000}])");
    const std::string impatient = never + "x-litellm-timeout: 0.1\r\nx-litellm-call-id: my-call\r\n";
    const RawAnswer late = client.post("/v1/chat/completions", kChat, impatient);
    CHECK(late.status == 408);
    CHECK(late.field("x-litellm-call-id") == "my-call");
    upstream.script(R"([{"event_delay_ms":60000}])");
    const std::string brisk = std::string(kKey) + "x-litellm-stream-timeout: 0.1\r\n";
    const RawAnswer cut = client.post("/v1/chat/completions", kStream, brisk);
    CHECK(cut.status == 200);
    CHECK(cut.body.find(R"("error":{)") != std::string::npos);
    const RawAnswer wrong =
        proxy.client().post("/v1/chat/completions", kChat, std::string(kKey) + "x-litellm-timeout: soon\r\n");
    CHECK(wrong.status == 400);
    CHECK(Json::parse(wrong.body)["error"]["param"] == "x-litellm-timeout");
}

TEST_CASE("What is kept by one deployment is refused with the reason") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const RawAnswer kept = client.get("/v1/responses/resp_1", kKey);
    CHECK(kept.status == 404);
    CHECK(error_message(kept.body).find("kept by one deployment") != std::string::npos);
    client.ask("DELETE", "/v1/responses/resp_1", "", kKey);
    CHECK(client.answer().status == 404);
    CHECK(client.post("/v1/files", "x", std::string(kKey)).status == 404);
    CHECK(upstream.arrivals().empty());
}

TEST_CASE("Every endpoint reaches its own place upstream") {
    Upstream upstream;
    Proxy proxy(kConfig, upstream.url());
    RawClient client = proxy.client();
    const auto reaches = [&](const std::string& target, const std::string& place) {
        CAPTURE(target);
        CHECK(client.post(target, kChat, kKey).status == 200);
        CHECK(upstream.last()["target"] == place);
        CHECK(upstream.last()["body"].get<std::string>().find(R"("model":"upstream-gpt")") !=
              std::string::npos);
    };
    for (const char* place :
         {"/completions", "/embeddings", "/responses", "/moderations", "/images/generations"}) {
        reaches(place, place);
        reaches(std::string("/v1") + place, place);
    }
    for (const char* place : {"/chat/completions", "/completions", "/embeddings"}) {
        reaches(std::string("/engines/gpt") + place, place);
        reaches(std::string("/openai/deployments/gpt") + place + "?api-version=1", place);
    }
    reaches("/queue/chat/completions", "/chat/completions");
    CHECK(client.post("/engines/gpt/embeddings", R"({"input":"a"})", kKey).status == 200);
    CHECK(upstream.last()["body"].get<std::string>().find(R"("model":"upstream-gpt")") !=
          std::string::npos);
}
