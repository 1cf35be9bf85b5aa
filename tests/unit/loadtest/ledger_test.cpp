#include "loadtest/ledger.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::loadtest;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

Json arrival(std::uint64_t at_ns, const char* verdict = "accepted") {
    return {{"seq", 1}, {"monotonic_ns", at_ns}, {"verdict", verdict}, {"status", 200}};
}

Json ledger(const Json& arrivals) {
    return {{"now_monotonic_ns", 1'000},
            {"rpm", 100},
            {"summary", {{"arrivals", arrivals.size()}, {"dropped", 0}}},
            {"arrivals", arrivals}};
}

// Around the 1000 that every ledger here was made at.
constexpr RoundTrip kSameHost{900ns, 1'100ns};

std::string complaint(const Json& json) {
    try {
        parse_ledger("http://up", json.dump(), {});
    } catch (const BadLedger& error) {
        return error.what();
    }
    return "none";
}

}  // namespace

TEST_CASE("a ledger's limit, losses and verdicts are read") {
    Json json = ledger(Json::array({arrival(10), arrival(20, "refused"), arrival(30, "failed")}));
    json["summary"]["dropped"] = 4;
    const Ledger read = parse_ledger("http://up", json.dump(), kSameHost);
    CHECK(read.url == "http://up");
    CHECK(read.limit == 100);
    CHECK(read.dropped == 4);
    REQUIRE(read.arrivals.size() == 3);
    CHECK(read.arrivals[0].verdict == Arrival::Verdict::accepted);
    CHECK(read.arrivals[1].verdict == Arrival::Verdict::refused);
    CHECK(read.arrivals[2].verdict == Arrival::Verdict::failed);
}

TEST_CASE("an rpm of 0 is no limit") {
    Json json = ledger(Json::array());
    json["rpm"] = 0;
    CHECK_FALSE(parse_ledger("http://up", json.dump(), {}).limit.has_value());
}

TEST_CASE("the upstream's clock is translated to ours") {
    const Json json = ledger(Json::array({arrival(400), arrival(900)}));
    // It was 1000 there when it was about 5000 here.
    const Ledger read = parse_ledger("http://up", json.dump(), {4'000ns, 6'000ns});
    CHECK(read.arrivals[0].at == 4'400ns);
    CHECK(read.arrivals[1].at == 4'900ns);
    // A clock that is ahead of ours is translated just so.
    CHECK(parse_ledger("http://up", json.dump(), {0ns, 998ns}).arrivals[0].at == -101ns);
}

TEST_CASE("on one host the clock is the same, however long the answer took") {
    const Json json = ledger(Json::array({arrival(400)}));
    CHECK(parse_ledger("http://up", json.dump(), {900ns, 500'000'000ns}).arrivals[0].at == 400ns);
    CHECK(parse_ledger("http://up", json.dump(), {1'000ns, 1'000ns}).arrivals[0].at == 400ns);
    CHECK(parse_ledger("http://up", json.dump(), {1'001ns, 1'001ns}).arrivals[0].at == 401ns);
}

TEST_CASE("arrivals are sorted by time") {
    const Json json = ledger(Json::array({arrival(30), arrival(10), arrival(20)}));
    const Ledger read = parse_ledger("http://up", json.dump(), kSameHost);
    CHECK(read.arrivals[0].at == 10ns);
    CHECK(read.arrivals[1].at == 20ns);
    CHECK(read.arrivals[2].at == 30ns);
}

TEST_CASE("what is no ledger is refused, with its address and what was expected") {
    CHECK(complaint(ledger(Json::array())) == "none");
    CHECK(complaint("text") == "http://up/__ledger: expected a JSON object");
    CHECK_THROWS_WITH(parse_ledger("http://up", "<html>", {}),
                      "http://up/__ledger: expected a JSON object");
    const auto without = [](const char* name) {
        Json json = ledger(Json::array());
        json.erase(name);
        return complaint(json);
    };
    CHECK(without("arrivals") == "http://up/__ledger: expected a list in \"arrivals\"");
    CHECK(without("summary") == "http://up/__ledger: expected an object in \"summary\"");
    CHECK(without("rpm") == "http://up/__ledger: expected a whole number in \"rpm\"");
    CHECK(without("now_monotonic_ns") ==
          "http://up/__ledger: expected a whole number in \"now_monotonic_ns\"");
    Json json = ledger(Json::array());
    json["summary"].erase("dropped");
    CHECK(complaint(json) == "http://up/__ledger: expected a whole number in \"dropped\"");
}

TEST_CASE("a bad arrival is refused") {
    CHECK(complaint(ledger(Json::array({1}))) == "http://up/__ledger: expected objects in \"arrivals\"");
    Json timeless = arrival(10);
    timeless["monotonic_ns"] = "soon";
    CHECK(complaint(ledger(Json::array({timeless}))) ==
          "http://up/__ledger: expected a whole number in \"monotonic_ns\"");
    const std::string verdicts = "http://up/__ledger: expected \"accepted\", \"refused\" or \"failed\" as "
                                 "the verdict of an arrival";
    CHECK(complaint(ledger(Json::array({arrival(10, "perhaps")}))) == verdicts);
    Json open = arrival(10);
    open.erase("verdict");
    CHECK(complaint(ledger(Json::array({open}))) == verdicts);
}
