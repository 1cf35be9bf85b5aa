#include "router/usage.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <random>
#include <string>
#include <vector>

using namespace weir::router;

namespace {

UsageScanner scan(AnswerKind kind, std::string_view answer, std::size_t piece) {
    UsageScanner scanner(kind);
    for (std::size_t at = 0; at < answer.size(); at += piece)
        scanner.feed(answer.substr(at, piece));
    return scanner;
}

/// The usage of `answer`, the same for every way to cut it.
std::optional<Usage> usage_of(AnswerKind kind, std::string_view answer) {
    const auto whole = scan(kind, answer, answer.size() + 1).usage();
    for (std::size_t piece = 1; piece < 20; ++piece) {
        const auto cut = scan(kind, answer, piece).usage();
        REQUIRE(cut.has_value() == whole.has_value());
        if (!cut) continue;
        REQUIRE(cut->prompt_tokens == whole->prompt_tokens);
        REQUIRE(cut->completion_tokens == whole->completion_tokens);
        REQUIRE(cut->total_tokens == whole->total_tokens);
        REQUIRE(cut->cached_tokens == whole->cached_tokens);
    }
    return whole;
}

std::vector<std::uint64_t> numbers(const std::optional<Usage>& usage) {
    if (!usage) return {};
    return {usage->prompt_tokens, usage->completion_tokens, usage->total_tokens};
}

std::vector<std::uint64_t> in_json(std::string_view answer) {
    return numbers(usage_of(AnswerKind::json, answer));
}
std::vector<std::uint64_t> in_events(std::string_view answer) {
    return numbers(usage_of(AnswerKind::events, answer));
}

using Numbers = std::vector<std::uint64_t>;

std::string stripped(std::string_view stream, std::size_t piece) {
    UsageScanner scanner(AnswerKind::events);
    UsageStripper stripper(scanner);
    std::string sent;
    for (std::size_t at = 0; at < stream.size(); at += piece)
        sent += stripper.feed(stream.substr(at, piece));
    return sent += stripper.finish();
}

const std::string kChunk =
    R"(data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null})"
    "\n\n";
const std::string kUsageChunk =
    R"(data: {"id":"1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}})"
    "\n\n";
const std::string kDone = "data: [DONE]\n\n";

}  // namespace

TEST_CASE("usage of a JSON answer") {
    CHECK(in_json(R"({"id":"x","choices":[{"message":{"role":"assistant","content":"hi"}}],)"
                  R"("usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}})") ==
          Numbers{9, 12, 21});
    CHECK(in_json("{\n  \"usage\" : {\n  \"total_tokens\" : 21 ,\n \"prompt_tokens\":9\n} }") ==
          Numbers{9, 0, 21});
    CHECK(in_json(R"({"usage":{"input_tokens":5,"output_tokens":6}})") == Numbers{5, 6, 11});
    CHECK(in_json(
              R"({"response":{"usage":{"input_tokens":5,"output_tokens":6,"total_tokens":11}}})") ==
          Numbers{5, 6, 11});
    CHECK(in_json(R"({"usage":{}})") == Numbers{0, 0, 0});
    const auto details = usage_of(
        AnswerKind::json,
        R"({"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4,"total_tokens":77},)"
        R"("completion_tokens":12,"completion_tokens_details":{"completion_tokens":99,)"
        R"("reasoning_tokens":3}}})");
    CHECK(numbers(details) == Numbers{9, 12, 21});
    CHECK(details->cached_tokens == 4);
}

TEST_CASE("what only looks like usage is not taken for it") {
    CHECK(in_json(R"({"usage":null})").empty());
    CHECK(in_json(R"({"usage":[{"prompt_tokens":9}]})").empty());
    CHECK(in_json(R"({"usage":7})").empty());
    CHECK(in_json(R"({"choices":[{"usage":{"prompt_tokens":9}}]})").empty());
    CHECK(in_json(R"({"data":{"usage":{"prompt_tokens":9}}})").empty());
    CHECK(in_json(R"({"x":"\"usage\":{\"prompt_tokens\":9}"})").empty());
    CHECK(in_json(R"({"x":"usage","y":{"prompt_tokens":9}})").empty());
    CHECK(in_json(R"({"x":["usage",{"prompt_tokens":9}]})").empty());
    CHECK(in_json(R"([{"usage":{"prompt_tokens":9}}])").empty());
    CHECK(in_json(R"({"us\u0061ge":{"prompt_tokens":9}})").empty());
    CHECK(in_json(R"({"a_very_long_key_that_ends_in_usage":{"prompt_tokens":9}})").empty());
    CHECK(in_json("plain text with \"usage\": {\"prompt_tokens\":1").empty());
}

TEST_CASE("what stands before usage is skipped to its very end") {
    const std::string usage = R"("usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}})";
    for (const std::string before :
         {R"("choices":[{"text":"}]}"},["\"}]","\\"],{}],)",
          R"("data":[[1,-2.5e3],[{"usage":{"total_tokens":1}}]],)",
          R"("error":{"usage":{"total_tokens":1}},)", R"("a":{"b":{"c":[[]]}},"d":"{[\u007b",)",
          R"("response":{"output":[{"usage":{"total_tokens":1}}],"text":"}"},)"}) {
        CAPTURE(before);
        CHECK(in_json("{" + before + usage) == Numbers{9, 12, 21});
    }
    CHECK(in_json(R"({"response":{"output":[{"a":"]"}],"usage":{"input_tokens":5,"output_tokens":6}}})") ==
          Numbers{5, 6, 11});
    CHECK(in_json(R"({"choices":[{"usage":{"total_tokens":1}})").empty());  // its end never comes
}

TEST_CASE("odd numbers do not mislead") {
    CHECK(in_json(R"({"usage":{"prompt_tokens":"9","completion_tokens":12}})") ==
          Numbers{0, 12, 12});
    CHECK(in_json(R"({"usage":{"prompt_tokens":-9,"completion_tokens":12.75}})") ==
          Numbers{0, 12, 12});
    CHECK(in_json(R"({"usage":{"prompt_tokens":null,"completion_tokens":12}})") ==
          Numbers{0, 12, 12});
    CHECK(in_json(R"({"usage":{"prompt_tokens":[5],"completion_tokens":12}})") ==
          Numbers{0, 12, 12});
    const auto huge = in_json(R"({"usage":{"prompt_tokens":99999999999999999999999999}})");
    REQUIRE(huge.size() == 3);
    CHECK(huge[0] == std::uint64_t{1} << 48);
}

TEST_CASE("a usage object that was cut off does not count") {
    const std::string answer = R"({"usage":{"prompt_tokens":9,"completion_tokens":123}})";
    for (std::size_t size = 0; size < answer.size() - 1; ++size)
        CHECK(in_json(answer.substr(0, size)).empty());
    CHECK(in_json(answer.substr(0, answer.size() - 1)) == Numbers{9, 123, 132});
}

TEST_CASE("usage of a stream, whatever ends its lines") {
    for (const std::string newline : {"\n", "\r\n"}) {
        std::string stream = ": hello" + newline + newline;
        for (const auto& event : {kChunk, kChunk, kUsageChunk, kDone}) {
            stream += event.substr(0, event.size() - 2) + newline + newline;
        }
        CHECK(in_events(stream) == Numbers{9, 12, 21});
        for (const std::size_t piece : {1u, 3u, 7u, 100'000u}) {
            const auto scanner = scan(AnswerKind::events, stream, piece);
            CHECK(scanner.events() == 3);
            CHECK(scanner.content_events() == 2);
            CHECK(scanner.content_bytes() == 4);
            CHECK(scanner.done());
            CHECK_FALSE(scanner.error_seen());
        }
    }
}

TEST_CASE("usage in the events of other APIs") {
    CHECK(in_events("event: response.completed\n"
                    "data: {\"type\":\"response.completed\",\"response\":{\"error\":null,\"usage\":"
                    "{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}}\n\n") ==
          Numbers{3, 4, 7});
    const std::string parts =
        "data: "
        "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":"
        "1}}}\n\n"
        "data: "
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}"
        "\n\n"
        "data: "
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_"
        "tokens\":15}}\n\n";
    CHECK(in_events(parts) == Numbers{25, 15, 40});
    CHECK(scan(AnswerKind::events, parts, 5).content_bytes() == 5);
    CHECK(scan(AnswerKind::events,
               "data: {\"type\":\"response.output_text.delta\",\"delta\":\"abc\"}\n\n", 2)
              .content_bytes() == 3);
}

TEST_CASE("the latest of several usages counts") {
    std::string stream;
    for (int i = 1; i < 4; ++i) {
        stream += "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":" +
                  std::to_string(i) + ",\"total_tokens\":" + std::to_string(9 + i) + "}}\n\n";
    }
    CHECK(in_events(stream) == Numbers{9, 3, 12});
}

TEST_CASE("data of an event may span lines, and events may lack the empty line between them") {
    CHECK(
        in_events(
            "data: {\"usage\":\ndata: {\"prompt_tokens\":9,\ndata:\"completion_tokens\":1}}\n\n") ==
        Numbers{9, 1, 10});
    CHECK(in_events("data: {\"a\":[1]}\ndata: {\"usage\":{\"prompt_tokens\":9}}\n") ==
          Numbers{9, 0, 9});
    // An event that was cut off does not spoil the next one.
    CHECK(in_events("data: {\"a\":[{\"b\":\"\n\ndata: {\"usage\":{\"prompt_tokens\":9}}\n\n") ==
          Numbers{9, 0, 9});
    CHECK(in_events("id: 1\nevent: x\ndata:{\"usage\":{\"prompt_tokens\":9}}\nretry: 5\n\n") ==
          Numbers{9, 0, 9});
    CHECK(in_events("database: {\"usage\":{\"prompt_tokens\":9}}\n\n").empty());
}

TEST_CASE("errors and the end of a stream are noticed") {
    CHECK(scan(AnswerKind::events, "data: {\"error\":{\"message\":\"x\"}}\n\n", 3).error_seen());
    CHECK(scan(AnswerKind::events, "data: {\"error\":\"x\"}\n\n", 3).error_seen());
    CHECK_FALSE(scan(AnswerKind::events, "data: {\"error\":null}\n\n", 3).error_seen());
    CHECK_FALSE(
        scan(AnswerKind::events, "data: {\"choices\":[{\"error\":{}}]}\n\n", 3).error_seen());
    CHECK(scan(AnswerKind::json, R"({"error":{"message":"x"}})", 4).error_seen());
    CHECK_FALSE(scan(AnswerKind::json, R"({"id":1,"error":null})", 4).error_seen());
    CHECK(scan(AnswerKind::events, "data:[DONE]\n", 2).done());
    CHECK_FALSE(scan(AnswerKind::events, "data: {\"x\":\"[DONE]\"}\n\n", 2).done());
    CHECK_FALSE(scan(AnswerKind::events, "data: [DONE", 2).done());
    CHECK_FALSE(scan(AnswerKind::events, "[DONE]\n", 2).done());
}

TEST_CASE("the usage-only event is taken out, every other byte stays") {
    const std::string stream = ": ping\n\n" + kChunk + kChunk + kUsageChunk + kDone;
    const std::string expected = ": ping\n\n" + kChunk + kChunk + kDone;
    for (std::size_t piece = 1; piece <= stream.size() + 1; ++piece)
        CHECK(stripped(stream, piece) == expected);
    // Also when it is all there is, or comes twice.
    for (std::size_t piece = 1; piece < 300; piece += 7) {
        CHECK(stripped(kUsageChunk, piece).empty());
        CHECK(stripped(kUsageChunk + kUsageChunk + kDone, piece) == kDone);
    }
}

TEST_CASE("events that are more than usage stay") {
    for (const std::string& event :
         {std::string("data: {\"choices\":[],\"usage\":null}\n\n"),
          std::string("data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n"),
          std::string("data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\n"),
          std::string("data: {\"usage\":{\"prompt_tokens\":1}}\n\n"),
          std::string("data: {\"choices\":[],\"x\":{\"usage\":{\"prompt_tokens\":1}}}\n\n"),
          std::string("data: not json\n\n"), std::string("\n\n\n"),
          std::string("data: {\"choices\":[],\"usa"),
          "data: {\"x\":\"" + std::string(50'000, 'y') + "\",\"choices\":[],\"usage\":{}}\n\n"}) {
        for (const std::size_t piece : {1u, 2u, 5u, 64u, 4096u, 1'000'000u}) {
            if (event.size() > 10'000 && piece > 10'000)
                continue;  // small enough to see whole: may be dropped
            CHECK(stripped(kChunk + event, piece) == kChunk + event);
        }
    }
}

TEST_CASE("what needs no change is not copied, and text is not held back") {
    UsageScanner scanner(AnswerKind::events);
    UsageStripper stripper(scanner);
    const std::string two = kChunk + kChunk;
    CHECK(stripper.feed(two).data() == two.data());
    const std::string part = kChunk.substr(0, kChunk.size() - 10);  // choices are there already
    CHECK(stripper.feed(part).data() == part.data());
    const std::string rest = kChunk.substr(kChunk.size() - 10);
    CHECK(stripper.feed(rest).data() == rest.data());
    CHECK(stripper.finish().empty());
    CHECK(scanner.events() == 3);
}

TEST_CASE("usage is found exactly where a JSON parser finds it") {
    std::mt19937_64 random(3);
    const std::vector<std::string> keys = {
        "usage",        "response", "choices",           "prompt_tokens",
        "total_tokens", "x",        "completion_tokens", "a\"b"};
    std::size_t found = 0;
    const auto make = [&](auto&& self, int depth) -> nlohmann::json {
        const auto dice = random() % (depth > 4 ? 3 : 6);
        if (dice == 0) return random() % 1000;
        if (dice == 1) return keys[random() % keys.size()];
        if (dice == 2) return nullptr;
        auto json = dice == 3 ? nlohmann::json::array() : nlohmann::json::object();
        for (auto n = random() % 5; n > 0; --n) {
            if (dice == 3) {
                json.push_back(self(self, depth + 1));
            } else {
                json[keys[random() % keys.size()]] = self(self, depth + 1);
            }
        }
        return json;
    };
    for (int round = 0; round < 40'000; ++round) {
        auto json = make(make, 0);
        if (!json.is_object()) continue;
        if (random() % 2 == 0)
            json["response"] = nullptr;  // one place at a time has a clear answer
        else
            json["usage"] = nullptr;
        const nlohmann::json* usage = &json["usage"];
        if (json["response"].is_object() && json["response"].contains("usage"))
            usage = &json["response"]["usage"];
        Numbers expected;
        if (usage->is_object()) {
            const auto number = [&](const char* key) {
                return usage->contains(key) && (*usage)[key].is_number()
                           ? (*usage)[key].get<std::uint64_t>()
                           : 0;
            };
            expected = {number("prompt_tokens"), number("completion_tokens"),
                        number("total_tokens")};
            if (!usage->contains("total_tokens") || !(*usage)["total_tokens"].is_number()) {
                expected[2] = expected[0] + expected[1];
            }
            ++found;
        }
        const auto text = json.dump(random() % 2 == 0 ? -1 : 1);
        const auto seen = numbers(scan(AnswerKind::json, text, 1 + random() % 40).usage());
        if (seen != expected) FAIL(text);
    }
    CHECK(found > 400);
}

TEST_CASE("any bytes are survived, and nothing but usage is ever lost") {
    std::mt19937_64 random(5);
    const std::string base = kChunk + kUsageChunk + kDone;
    for (int round = 0; round < 20'000; ++round) {
        std::string stream = base;
        for (auto changes = random() % 8; changes > 0; --changes) {
            constexpr std::string_view likely = "{}[]\",:\n\r \\0d";
            const auto at = random() % stream.size();
            if (random() % 2 == 0)
                stream[at] = likely[random() % likely.size()];
            else
                stream[at] = static_cast<char>(random());
        }
        scan(AnswerKind::json, stream, 1 + random() % 50);
        const auto whole = scan(AnswerKind::events, stream, stream.size());
        const auto cut = scan(AnswerKind::events, stream, 1 + random() % 10);
        CHECK(numbers(whole.usage()) == numbers(cut.usage()));
        CHECK(whole.events() == cut.events());
        CHECK(whole.content_bytes() == cut.content_bytes());
        const auto sent = stripped(stream, 1 + random() % 60);
        CHECK(sent == stripped(stream, stream.size()));
        CHECK(sent.size() <= stream.size());
    }
}
