#include "fake_server/ledger.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>

using namespace weir::fake_server;
using Json = nlohmann::json;

namespace {

Json read(const Ledger& ledger, std::uint64_t since = 0,
          std::size_t count_max = std::numeric_limits<std::size_t>::max()) {
    std::string json = "{";
    ledger.append_summary(json);
    json += ',';
    ledger.append_arrivals(json, since, count_max);
    return Json::parse(json + '}');
}

Arrival arrival(std::int64_t at_ns, Verdict verdict = Verdict::accepted, unsigned status = 200) {
    const bool accepted = verdict == Verdict::accepted;
    return {.at = {at_ns, at_ns + 1},
            .connection = 7,
            .remote = "127.0.0.1",
            .path = "/chat/completions",
            .model = "gpt",
            .verdict = verdict,
            .status = status,
            .prompt_tokens = accepted ? 9U : 0U,
            .completion_tokens = accepted ? 12U : 0U};
}

}  // namespace

TEST_CASE("An arrival keeps everything that was reported of it") {
    Ledger ledger(10);
    CHECK(ledger.arrived(arrival(100)) == 1);
    ledger.ended(1, End::complete, 150);
    const Json entry = read(ledger)["arrivals"].at(0);
    CHECK(entry == Json::parse(R"({"seq":1,"monotonic_ns":100,"unix_ns":101,"connection":7,
        "remote":"127.0.0.1","path":"/chat/completions","model":"gpt","stream":false,
        "verdict":"accepted","status":200,"prompt_tokens":9,"completion_tokens":12,
        "end":"complete","end_monotonic_ns":150})"));
}

TEST_CASE("The summary counts verdicts, ends, states and tokens") {
    Ledger ledger(10);
    ledger.arrived(arrival(1));
    ledger.arrived(arrival(2, Verdict::refused, 429));
    ledger.arrived(arrival(3, Verdict::failed, 500));
    ledger.arrived(arrival(4));
    ledger.ended(1, End::complete, 5);
    ledger.ended(2, End::client_gone, 6);
    ledger.ended(3, End::cut, 7);
    CHECK(read(ledger)["summary"] == Json::parse(R"({"arrivals":4,"accepted":2,"refused":1,
        "failed":1,"running":1,"complete":1,"client_gone":1,"cut":1,"prompt_tokens":18,
        "completion_tokens":24,"total_tokens":42,"dropped":0,
        "by_status":{"200":2,"429":1,"500":1}})"));
}

TEST_CASE("A full ledger overwrites the oldest and counts them") {
    Ledger ledger(3);
    for (int i = 1; i <= 8; ++i) ledger.arrived(arrival(i));
    ledger.ended(2, End::complete, 9);  // no longer kept, but still counted
    ledger.ended(7, End::cut, 9);
    const Json json = read(ledger);
    CHECK(json["summary"]["arrivals"] == 8);
    CHECK(json["summary"]["dropped"] == 5);
    CHECK(json["summary"]["complete"] == 1);
    REQUIRE(json["arrivals"].size() == 3);
    CHECK(json["arrivals"][0]["seq"] == 6);
    CHECK(json["arrivals"][0]["monotonic_ns"] == 6);
    CHECK(json["arrivals"][1]["end"] == "cut");
    CHECK(json["arrivals"][2]["end"] == "running");
}

TEST_CASE("clear starts over without repeating numbers") {
    Ledger ledger(3);
    for (int i = 1; i <= 5; ++i) ledger.arrived(arrival(i));
    CHECK(ledger.clear() == 5);
    ledger.ended(5, End::complete, 9);  // of before: must not be counted
    CHECK(read(ledger)["summary"]["arrivals"] == 0);
    CHECK(read(ledger)["summary"]["complete"] == 0);
    CHECK(read(ledger)["arrivals"].empty());
    CHECK(ledger.arrived(arrival(6)) == 6);
    CHECK(read(ledger)["arrivals"].at(0)["monotonic_ns"] == 6);
    CHECK(ledger.clear() == 1);
}

TEST_CASE("Reading on from a number, a few at a time") {
    Ledger ledger(100);
    for (int i = 1; i <= 10; ++i) ledger.arrived(arrival(i));
    const Json some = read(ledger, 4, 3)["arrivals"];
    REQUIRE(some.size() == 3);
    CHECK(some[0]["seq"] == 5);
    CHECK(some[2]["seq"] == 7);
    CHECK(read(ledger, 10)["arrivals"].empty());
    CHECK(read(ledger, std::numeric_limits<std::uint64_t>::max() - 1)["arrivals"].empty());
}

TEST_CASE("Names from clients cannot break the JSON") {
    Ledger ledger(2);
    Arrival strange = arrival(1);
    strange.model = "a\"b\\\n\xff";
    ledger.arrived(strange);
    CHECK(read(ledger)["arrivals"].at(0)["model"] == "a\"b\\\n\xEF\xBF\xBD");
}

TEST_CASE("Distinct names are bounded") {
    Names names;
    const std::uint32_t first = names.id("name 0");
    for (int i = 1; i < 70'000; ++i) names.id("name " + std::to_string(i));
    CHECK(names.id("name 0") == first);
    CHECK(names.json(names.id("yet another")) == R"-("(other)")-");
    CHECK(names.id("yet another") == names.id("and one more"));
}
