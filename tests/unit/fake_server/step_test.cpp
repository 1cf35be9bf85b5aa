#include "fake_server/step.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::fake_server;

namespace {

std::string error_of(const std::string& text) {
    std::string error;
    const auto program = parse_program(text, error);
    CHECK_FALSE(program);
    return error;
}

}  // namespace

TEST_CASE("Every key of a step is read") {
    std::string error;
    const auto step = parse_step(nlohmann::json::parse(R"({"status":503,"headers":{"retry-after":2,
        "x":"y"},"body":{"a":1},"raw":"bytes","content":"hi","tokens":[3,4],"cut_after_bytes":5,
        "cut_after_events":6,"stall_ms":1.5,"event_delay_ms":2,"chunk_delay_ms":3,"chunk_bytes":7,
        "malformed":"http","close_before_response":true,"close_idle_connection":true,"reset":true,
        "no_usage":true,"echo":true,"times":9})"),
                                 error);
    REQUIRE(step);
    CHECK(step->status == 503U);
    CHECK(step->headers.at(0) == std::pair<std::string, std::string>("retry-after", "2"));
    CHECK(step->headers.at(1) == std::pair<std::string, std::string>("x", "y"));
    CHECK(step->body == R"({"a":1})");
    CHECK(step->raw == "bytes");
    CHECK(step->content == "hi");
    CHECK(step->tokens->prompt == 3);
    CHECK(step->tokens->completion == 4);
    CHECK(step->cut_after_bytes == 5U);
    CHECK(step->cut_after_events == 6U);
    CHECK(step->stall_ns == 1'500'000);
    CHECK(step->event_delay_ns == 2'000'000);
    CHECK(step->chunk_delay_ns == 3'000'000);
    CHECK(step->chunk_bytes == 7);
    CHECK(step->malformed == Malformed::http);
    CHECK(step->close_before_response);
    CHECK(step->close_idle_connection);
    CHECK(step->reset);
    CHECK(step->no_usage);
    CHECK(step->echo);
    CHECK(step->times == 9);
}

TEST_CASE("What is wrong with a script is named with its place") {
    CHECK(error_of("nonsense") == "the script is not JSON");
    CHECK(error_of("7") == "found 7, expected a list of at most 100000 steps");
    CHECK(error_of(R"({"repeat":true})") == "'steps' is missing");
    CHECK(error_of(R"({"steps":[],"repeat":1})") ==
          R"('repeat': found 1, expected "steps" and "repeat": true or false)");
    CHECK(error_of("[{},3]") == "step 2: 'step': found 3, expected an object");
    CHECK(error_of(R"([{"statuss":500}])") == "step 1: 'statuss': found 500, expected no such key");
    CHECK(error_of(R"([{"status":99}])") ==
          "step 1: 'status': found 99, expected a whole number from 200 to 599");
    CHECK(error_of(R"([{"status":"500"}])") ==
          R"(step 1: 'status': found "500", expected a whole number from 200 to 599)");
    CHECK(error_of(R"([{"stall_ms":-1}])") ==
          "step 1: 'stall_ms': found -1, expected milliseconds from 0 to 86400000");
    CHECK(error_of(R"([{"tokens":[1]}])") ==
          "step 1: 'tokens': found [1], expected [prompt, completion]");
    CHECK(error_of(R"([{"reset":1}])") == "step 1: 'reset': found 1, expected true or false");
    CHECK(error_of(R"([{"content":1}])") == "step 1: 'content': found 1, expected a text");
    CHECK(error_of(R"([{"times":0}])") ==
          "step 1: 'times': found 0, expected a whole number from 1 to 1000000");
    CHECK(error_of(R"([{"headers":{"a":"b\r\nc: d"}}])") ==
          R"(step 1: 'headers.a': found "b\r\nc: d", expected no line breaks)");
    CHECK(
        error_of(R"([{"malformed":"tcp"}])") ==
        R"(step 1: 'malformed': found "tcp", expected true, "json", "http", "length" or "chunk")");
}
