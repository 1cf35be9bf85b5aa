#include "fake_server/desk.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::fake_server;
using Json = nlohmann::json;

namespace {

constexpr const char* kQuestion = R"({"model":"gpt","messages":[]})";

// A desk with a clock that the test moves.
struct Office {
    explicit Office(const DeskOptions& options = {}) : desk(options) {}

    Delivery send(const std::string& method, const std::string& target,
                  const std::string& body = {},
                  const std::vector<std::pair<std::string, std::string>>& fields = {}) {
        Request request;
        request.method = method;
        request.target = target;
        request.body = body;
        for (const auto& [name, value] : fields) request.add_field(name, value);
        Delivery delivery;
        seq = desk.handle(request, {3, "127.0.0.1"}, {now_ns, now_ns}, {now_ns, now_ns}, delivery);
        return delivery;
    }

    unsigned status(const std::string& method, const std::string& target,
                    const std::string& body = {}) {
        const Delivery delivery = send(method, target, body);
        return static_cast<unsigned>(std::stoul(delivery.wire.substr(9, 3)));
    }

    Json body(const std::string& method, const std::string& target, const std::string& text = {}) {
        const Delivery delivery = send(method, target, text);
        return Json::parse(delivery.wire.substr(delivery.wire.find("\r\n\r\n") + 4));
    }

    Desk desk;
    std::int64_t now_ns = 1'000'000'000;
    std::uint64_t seq = 0;
};

DeskOptions limited(std::uint64_t requests_max) {
    DeskOptions options;
    options.window.requests_max = requests_max;
    return options;
}

}  // namespace

TEST_CASE("A question within the limit is answered and entered, one over it refused and entered") {
    Office office(limited(1));
    CHECK(office.status("POST", "/chat/completions", kQuestion) == 200);
    CHECK(office.seq == 1);
    CHECK(office.body("POST", "/v1/chat/completions", kQuestion) ==
          Json::parse(R"({"detail":"Rate Limited!"})"));
    CHECK(office.seq == 2);
    office.desk.ended(1, End::complete, 5);
    const Json ledger = office.body("GET", "/__ledger");
    CHECK(office.seq == 0);
    CHECK(ledger["rpm"] == 1);
    CHECK(ledger["window_seconds"] == 60.0);
    CHECK(ledger["summary"]["accepted"] == 1);
    CHECK(ledger["summary"]["refused"] == 1);
    CHECK(ledger["summary"]["total_tokens"] == 21);
    CHECK(ledger["arrivals"][0]["end"] == "complete");
    CHECK(ledger["arrivals"][0]["model"] == "gpt");
    CHECK(ledger["arrivals"][1]["status"] == 429);
    CHECK(ledger["arrivals"][1]["verdict"] == "refused");
}

TEST_CASE("The limit opens again when the window is over") {
    Office office(limited(1));
    CHECK(office.status("POST", "/chat/completions") == 200);
    CHECK(office.status("POST", "/chat/completions") == 429);
    office.now_ns += 60 * kNanosPerSecond;
    CHECK(office.status("POST", "/chat/completions") == 200);
}

TEST_CASE("The ledger is read in part and reset, the window only when asked") {
    Office office(limited(2));
    office.send("POST", "/chat/completions");
    office.send("POST", "/chat/completions");
    CHECK_FALSE(office.body("GET", "/__ledger?summary=1").contains("arrivals"));
    CHECK(office.body("GET", "/__ledger?since=1")["arrivals"].size() == 1);
    CHECK(office.body("GET", "/__ledger?limit=1")["arrivals"][0]["seq"] == 1);
    CHECK(office.body("DELETE", "/__ledger") == Json::parse(R"({"cleared":2})"));
    CHECK(office.body("GET", "/__ledger")["summary"]["arrivals"] == 0);
    CHECK(office.status("POST", "/chat/completions") == 429);
    CHECK(office.body("DELETE", "/__ledger?window") == Json::parse(R"({"cleared":1})"));
    CHECK(office.status("POST", "/chat/completions") == 200);
}

TEST_CASE("Unknown routes and wrong methods are told apart and not entered") {
    Office office;
    CHECK(office.body("POST", "/nowhere") == Json::parse(R"({"detail":"Not Found"})"));
    CHECK(office.status("POST", "/nowhere") == 404);
    CHECK(office.body("GET", "/chat/completions") ==
          Json::parse(R"({"detail":"Method Not Allowed"})"));
    CHECK(office.status("OPTIONS", "/chat/completions") == 405);
    const Delivery delivery = office.send("POST", "/__ledger");
    CHECK(delivery.wire.find("HTTP/1.1 405") == 0);
    CHECK(delivery.wire.find("allow: GET, DELETE\r\n") != std::string::npos);
    CHECK(office.body("GET", "/__ledger")["summary"]["arrivals"] == 0);
}

TEST_CASE("Every origin may read, and ask beforehand") {
    Office office;
    const std::string open =
        office.send("POST", "/chat/completions", "{}", {{"Origin", "http://a"}}).wire;
    CHECK(open.find("access-control-allow-origin: *\r\n") != std::string::npos);
    CHECK(open.find("access-control-allow-credentials: true\r\n") != std::string::npos);
    const std::string cookie =
        office.send("POST", "/chat/completions", "{}", {{"origin", "http://a"}, {"cookie", "c"}})
            .wire;
    CHECK(cookie.find("access-control-allow-origin: http://a\r\n") != std::string::npos);
    CHECK(office.send("POST", "/chat/completions").wire.find("access-control") ==
          std::string::npos);
    const std::string preflight =
        office
            .send("OPTIONS", "/chat/completions", {},
                  {{"origin", "http://a"},
                   {"access-control-request-method", "POST"},
                   {"access-control-request-headers", "authorization, x-b"}})
            .wire;
    CHECK(preflight.starts_with("HTTP/1.1 200 OK"));
    CHECK(preflight.find("access-control-allow-origin: http://a\r\n") != std::string::npos);
    CHECK(preflight.find("access-control-allow-headers: authorization, x-b\r\n") !=
          std::string::npos);
    CHECK(preflight.ends_with("\r\n\r\nOK"));
}

TEST_CASE("A script is played by requests within the limit only") {
    Office office(limited(3));
    CHECK(office.body("POST", "/__script", R"([{"status":503,"headers":{"retry-after":1}},{}])") ==
          Json::parse(R"({"remaining":2,"repeat":false})"));
    const Delivery first = office.send("POST", "/chat/completions");
    CHECK(first.wire.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(first.wire.find("retry-after: 1\r\n") != std::string::npos);
    CHECK(office.status("POST", "/chat/completions") == 200);
    CHECK(office.status("POST", "/chat/completions") == 200);
    office.body("POST", "/__script", R"([{"status":500}])");
    CHECK(office.status("POST", "/chat/completions") == 429);
    CHECK(office.body("GET", "/__script")["remaining"] == 1);
    CHECK(office.body("DELETE", "/__script")["remaining"] == 0);
    const Json summary = office.body("GET", "/__ledger")["summary"];
    CHECK(summary["failed"] == 1);
    CHECK(summary["total_tokens"] == 42);
}

TEST_CASE("A script that is not valid is refused and changes nothing") {
    Office office;
    office.send("POST", "/__script", R"([{"status":500}])");
    const Json refusal = office.body("POST", "/__script", R"([{"status":"?"}])");
    CHECK(refusal["error"]["message"] ==
          R"(step 1: 'status': found "?", expected a whole number from 200 to 599)");
    CHECK(office.body("GET", "/__script")["remaining"] == 1);
}

TEST_CASE("A step in the request comes before the script and leaves it alone") {
    Office office;
    office.send("POST", "/__script", R"([{"status":503}])");
    CHECK(office.status("POST", "/chat/completions", R"({"metadata":{"fake":{"status":418}}})") ==
          418);
    CHECK(office.body("GET", "/__script")["remaining"] == 1);
    const Json wrong = office.body("POST", "/chat/completions", R"({"metadata":{"fake":{"a":1}}})");
    CHECK(wrong["error"]["message"] ==
          "The scripted step is not valid: 'a': found 1, expected no such key");
    CHECK(
        office.body("POST", "/chat/completions", R"({"metadata":{"fake":"?"}})").contains("error"));
}

TEST_CASE("Errors by chance follow the seed and the rate") {
    DeskOptions options = limited(0);
    options.error_rate = 0.25;
    options.seed = 42;
    Office office(options);
    Office same(options);
    int errors = 0;
    for (int i = 0; i < 4000; ++i) {
        const unsigned status = office.status("POST", "/chat/completions");
        REQUIRE(status == same.status("POST", "/chat/completions"));
        errors += status == 500 ? 1 : 0;
    }
    CHECK(errors > 900);  // 1000 expected, standard deviation 27
    CHECK(errors < 1100);
}

TEST_CASE("The last question is shown as it arrived") {
    Office office;
    CHECK(office.status("GET", "/__last") == 404);
    office.send("POST", "/v1/chat/completions?x=1", kQuestion, {{"Authorization", "Bearer k"}});
    office.send("GET", "/v1/models");
    const Json last = office.body("GET", "/__last");
    CHECK(last["target"] == "/v1/chat/completions?x=1");
    CHECK(last["headers"] == Json::parse(R"([["Authorization","Bearer k"]])"));
    CHECK(last["body"] == kQuestion);
    CHECK(office.body("POST", "/__echo", "abc")["body"] == "abc");
    CHECK(office.body("POST", "/chat/completions", R"({"metadata":{"fake":{"echo":true}}})")
              .contains("body_base64"));
}

TEST_CASE("Remaining and reset are told as OpenAI tells them") {
    DeskOptions options = limited(5);
    options.ratelimit_headers = true;
    Office office(options);
    const std::string wire = office.send("POST", "/chat/completions").wire;
    CHECK(wire.find("x-ratelimit-limit-requests: 5\r\n") != std::string::npos);
    CHECK(wire.find("x-ratelimit-remaining-requests: 4\r\n") != std::string::npos);
    CHECK(wire.find("x-ratelimit-reset-requests: 1m0s\r\n") != std::string::npos);
    office.now_ns += 59'500 * kNanosPerMilli;
    CHECK(office.send("POST", "/chat/completions").wire.find("requests: 500ms\r\n") !=
          std::string::npos);
}

TEST_CASE("Streams and tokens are as the options have them") {
    DeskOptions options;
    options.tokens = {5, 2};
    Office office(options);
    const std::string wire = office
                                 .send("POST", "/chat/completions",
                                       R"({"stream":true,"stream_options":{"include_usage":true}})")
                                 .wire;
    CHECK(wire.find(R"("total_tokens":7)") != std::string::npos);
    CHECK(office.body("POST", "/chat/completions")["usage"]["total_tokens"] == 7);
    const Json entry = office.body("GET", "/__ledger")["arrivals"][0];
    CHECK(entry["stream"] == true);
    CHECK(entry["prompt_tokens"] == 5);
}

TEST_CASE("Bytes that are no request are answered and the connection ends") {
    Office office;
    Delivery delivery;
    office.desk.refuse("bad method", delivery);
    CHECK(delivery.wire.starts_with("HTTP/1.1 400"));
    CHECK(delivery.wire.ends_with(R"({"detail":"Bad Request: bad method"})"));
    CHECK(delivery.finish == Finish::close);
}

TEST_CASE("The model that a path names stands in for the body's") {
    Office office;
    office.send("POST", "/openai/deployments/az/chat/completions?api-version=1", "{}");
    office.send("POST", "/openai/deployments/az/chat/completions", R"({"model":"own"})");
    const Json arrivals = office.body("GET", "/__ledger")["arrivals"];
    CHECK(arrivals[0]["model"] == "az");
    CHECK(arrivals[0]["path"] == "/openai/deployments/az/chat/completions");
    CHECK(arrivals[1]["model"] == "own");
}
