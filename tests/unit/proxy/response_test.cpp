#include "proxy/response.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace weir::proxy;
using namespace std::chrono_literals;
using weir::router::ApiError;
using weir::router::Fields;

namespace {

std::map<std::string, std::string> fields_of(const PlainAnswer& answer) {
    return {answer.fields.begin(), answer.fields.end()};
}

ApiError limited(std::optional<weir::shm::Nanos> wait) {
    return {429, "slow down", "throttling_error", std::nullopt, wait};
}

std::string relayed(const Fields& fields) {
    std::string out;
    HeadWriter head(out);
    relay_fields(fields, head);
    return out;
}

}  // namespace

TEST_CASE("a head is written field by field") {
    std::string out = "before ";
    HeadWriter head(out, 404);
    head.field("a", "b").field("n", std::uint64_t{18446744073709551615u}).end();
    CHECK(out == "before HTTP/1.1 404 Not Found\r\na: b\r\nn: 18446744073709551615\r\n\r\n");
}

TEST_CASE("a status without a name has none in its line") {
    std::string out;
    const HeadWriter head(out, 420);
    CHECK(out == "HTTP/1.1 420 \r\n");
}

TEST_CASE("an upstream's wait is passed on if it is one, and a 429 has one in any case") {
    struct Case {
        std::string name;
        std::string value;
        bool heeded;
    };
    for (const Case& one : std::vector<Case>{{"Retry-After", "7", true},
                                             {"Retry-After", "0.5", true},
                                             {"Retry-After", "Sun, 06 Nov 2094 08:49:37 GMT", true},
                                             {"retry-after-ms", "700", true},
                                             {"Retry-After", "0", false},
                                             {"Retry-After", "-5", false},
                                             {"Retry-After", "soon", false},
                                             {"Retry-After", "", false},
                                             {"retry-after-ms", "0", false},
                                             {"retry-after-ms", "-1", false}}) {
        INFO(one.name << ": " << one.value);
        Fields fields;
        fields.add(one.name, one.value);
        CHECK(relayed(fields) == (one.heeded ? one.name + ": " + one.value + "\r\n" : ""));
        std::string added;
        HeadWriter head(added);
        append_retry_after(fields, head);
        CHECK(added == (one.heeded ? "" : "retry-after: 1\r\nretry-after-ms: 1000\r\n"));
    }
}

TEST_CASE("an error has OpenAI's shape") {
    const PlainAnswer answer = to_answer({400, "a \"b\"", "invalid_request_error", "model", {}});
    CHECK(answer.status == 400);
    const auto error = nlohmann::json::parse(answer.body)["error"];
    CHECK(error["message"] == "a \"b\"");
    CHECK(error["type"] == "invalid_request_error");
    CHECK(error["param"] == "model");
    CHECK(error["code"] == "400");
    CHECK(answer.fields.empty());
    CHECK(
        nlohmann::json::parse(to_answer({500, "x", "y", {}, {}}).body)["error"]["param"].is_null());
}

TEST_CASE("a 429 says when to come back, rounded up and never zero") {
    const auto wait = [](weir::shm::Nanos ns) {
        const auto fields = fields_of(to_answer(limited(ns)));
        return fields.at("retry-after") + " s, " + fields.at("retry-after-ms") + " ms" +
               (fields.contains("x-should-retry") ? ", " + fields.at("x-should-retry") : "");
    };
    CHECK(wait(0ns) == "1 s, 1 ms");
    CHECK(wait(1ns) == "1 s, 1 ms");
    CHECK(wait(1ms + 1ns) == "1 s, 2 ms");
    CHECK(wait(1s) == "1 s, 1000 ms");
    CHECK(wait(1s + 1ns) == "2 s, 1001 ms");
    CHECK(wait(60s) == "60 s, 60000 ms");
    CHECK(wait(60s + 1ns) == "61 s, 60001 ms, false");
    const auto unknown = fields_of(to_answer(limited(std::nullopt)));
    CHECK(unknown.at("retry-after") == "1");
    CHECK(unknown.at("retry-after-ms") == "1000");
}

TEST_CASE("an upstream's 429 keeps its own time, or gets one") {
    const auto appended = [](const char* name) {
        Fields fields;
        fields.add(name, "7");
        std::string out;
        HeadWriter head(out);
        append_retry_after(fields, head);
        return out;
    };
    CHECK(appended("Retry-After").empty());
    CHECK(appended("retry-after-ms").empty());
    CHECK(appended("x") == "retry-after: 1\r\nretry-after-ms: 1000\r\n");
}

TEST_CASE("of an upstream's fields, clients see what is theirs") {
    Fields fields;
    for (const char* name : {"Content-Type", "content-encoding", "retry-after", "ETag", "X-Thing",
                             "Server", "Date", "Set-Cookie", "Connection", "Keep-Alive",
                             "Transfer-Encoding", "Content-Length", "x-request-id", "x-hop"}) {
        fields.add(name, std::string_view(name) == "Connection" ? "x-hop" : "v");
    }
    CHECK(relayed(fields) ==
          "Content-Type: v\r\ncontent-encoding: v\r\nETag: v\r\n"
          "llm_provider-X-Thing: v\r\nllm_provider-x-request-id: v\r\n");
}

TEST_CASE("what is not served is an error that clients show") {
    const PlainAnswer answer = unserved_answer("because of this");
    CHECK(answer.status == 404);
    const auto error = nlohmann::json::parse(answer.body)["error"];
    CHECK(error["message"] == "Weir does not serve this endpoint: because of this.");
    CHECK(error["code"] == "404");
}

TEST_CASE("the bodies that the proxy writes itself are JSON, whatever the names") {
    const auto list = nlohmann::json::parse(models_answer({"a", "b\"\\"}).body);
    CHECK(list["object"] == "list");
    CHECK(list["data"].size() == 2);
    CHECK(list["data"][1]["id"] == "b\"\\");
    CHECK(list["data"][0]["object"] == "model");
    CHECK(nlohmann::json::parse(models_answer({}).body)["data"].empty());
    CHECK(nlohmann::json::parse(model_answer("x").body)["id"] == "x");
    CHECK(detail_answer(404, "Not Found").body == R"({"detail":"Not Found"})");
    CHECK(not_allowed_answer("POST").status == 405);
    CHECK(fields_of(not_allowed_answer("POST")).at("allow") == "POST");
    CHECK(ready_answer(true).status == 200);
    CHECK(ready_answer(false).status == 503);
    CHECK(alive_answer().body == "\"I'm alive!\"");
}
