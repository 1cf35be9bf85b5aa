#include "loadtest/report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::loadtest;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

Batch batch(std::uint64_t successes, std::uint64_t refusals) {
    Batch made;
    made.start = 10s;
    made.end = 10s + 214'876us;
    made.tally.add(Outcome::success, successes);
    made.tally.add(Outcome::refused, refusals);
    return made;
}

Rules expecting(std::uint64_t expect) {
    Rules rules;
    rules.expect = expect;
    return rules;
}

Ledger ledger(std::uint64_t limit, std::size_t arrivals) {
    Ledger made;
    made.url = "http://up";
    made.limit = limit;
    made.arrivals.assign(arrivals, Arrival{10s + 1ms, Arrival::Verdict::accepted});
    return made;
}

std::string verdict(const std::vector<Batch>& batches, const std::vector<Ledger>& ledgers,
                    const Rules& rules) {
    return verdict_text(judge(batches, ledgers, rules), rules);
}

}  // namespace

TEST_CASE("a batch is announced with the hour and minute in UTC") {
    CHECK(batch_trigger_line(0) == "triggered new batch - 00-00\n");
    CHECK(batch_trigger_line(21 * 3600 + 7 * 60 + 59) == "triggered new batch - 21-07\n");
}

TEST_CASE("a batch ends with its requests, seconds and successes") {
    CHECK(batch_result_line(batch(200, 400)) == "600 0.214876 200\n");
}

TEST_CASE("a run that held is a PASS with its figures") {
    CHECK(verdict({batch(200, 400)}, {ledger(200, 200)}, expecting(200)) ==
          "requests  600: 200 successes, 400 refusals, 0 errors\n"
          "window    60 s, the fullest had 200 successes of 200\n"
          "upstream  http://up: 200 arrived, 0 refused there; fullest 60 s: 200 of 200\n"
          "PASS: every limit held, and no capacity was left unused\n");
}

TEST_CASE("a run that did not hold tells every fault and ends in FAIL with the first") {
    CHECK(verdict({batch(201, 399)}, {ledger(200, 201)}, expecting(200)) ==
          "requests  600: 201 successes, 399 refusals, 0 errors\n"
          "window    60 s, the fullest had 201 successes of 200\n"
          "upstream  http://up: 201 arrived, 0 refused there; fullest 60 s: 201 of 200\n"
          "fault     batch 1 ended with 201 successes within 60 s, the limit is 200\n"
          "fault     http://up: 201 were admitted within 60 s, the limit is 200\n"
          "FAIL: batch 1 ended with 201 successes within 60 s, the limit is 200\n");
}

TEST_CASE("errors are told by kind") {
    Batch broken = batch(198, 0);
    broken.tally.add(Outcome::timeout, 2);
    broken.tally.add(Outcome::server_error, 3);
    const std::string text = verdict({broken}, {}, expecting(200));
    CHECK(text.substr(0, text.find('\n')) ==
          "requests  203: 198 successes, 0 refusals, 5 errors (3 server_error, 2 timeout)");
}

TEST_CASE("more arrivals than admissions in a window are explained") {
    Ledger up = ledger(100, 100);
    for (Arrival& arrival : up.arrivals) arrival.at = 10s + 50ms;
    up.arrivals.push_back({70s + 20ms, Arrival::Verdict::accepted});
    Batch next = batch(1, 0);
    next.start = 70s;
    next.end = 70s + 100ms;
    const std::string text = verdict({batch(100, 0), next}, {up}, Rules{});
    CHECK(text.find("fullest 60 s: 101 of 100 by arrival, 100 by admission\n") != std::string::npos);
    CHECK(text.find("PASS") != std::string::npos);
}

TEST_CASE("a PASS says how much it means") {
    const auto last_line = [](const std::string& text) {
        return text.substr(text.rfind('\n', text.size() - 2) + 1);
    };
    Rules limited;
    limited.limit = 200;
    CHECK(last_line(verdict({batch(200, 400)}, {}, limited)) ==
          "PASS: the limit held (give --expect or --ledger to judge unused capacity too)\n");
    CHECK(last_line(verdict({batch(200, 400)}, {}, Rules{})) ==
          "PASS: requests succeeded (give --expect or --ledger to judge a limit)\n");
    CHECK(last_line(verdict({batch(0, 600)}, {}, Rules{})) == "FAIL: no request succeeded\n");
}

TEST_CASE("the JSON holds what was asked, measured and judged") {
    Options options;
    options.urls = {"http://127.0.0.1:4000"};
    Batch broken = batch(200, 399);
    broken.tally.add(Outcome::timeout);
    const std::vector<Batch> batches{broken};
    const std::vector<std::time_t> started{1'700'000'000};
    const std::vector<Ledger> ledgers{ledger(200, 200)};
    const Rules rules = expecting(200);
    const Json json =
        Json::parse(to_json(options, batches, started, {}, judge(batches, ledgers, rules), rules));
    CHECK(json["mode"] == "proxy");
    CHECK(json["options"]["requests"] == 600);
    CHECK(json["options"]["urls"] == Json::array({"http://127.0.0.1:4000"}));
    CHECK_FALSE(json["options"].contains("config"));
    CHECK(json["window_seconds"] == 60);
    CHECK(json["expect"] == 200);
    CHECK(json["limit"].is_null());
    REQUIRE(json["batches"].size() == 1);
    const Json& first = json["batches"][0];
    CHECK(first["started_unix"] == 1'700'000'000);
    CHECK(first["seconds"].get<double>() == Approx(0.214876));
    CHECK(first["successes"] == 200);
    CHECK(first["refusals"] == 399);
    CHECK(first["errors"] == Json{{"timeout", 1}});
    CHECK(first["expected"] == Json{{"at_least", 200}, {"at_most", 200}});
    CHECK(json["total"]["requests"] == 600);
    CHECK(json["fullest_window"] == 200);
    CHECK(json["ledgers"][0]["fullest_window_proven"] == 200);
    CHECK(json["findings"] == Json::array());
    CHECK(json["verdict"] == "PASS");
    CHECK(json["pace"].is_null());
}

TEST_CASE("an open loop is told with its rates and percentiles") {
    Pace pace;
    pace.wanted_rate = 100;
    pace.achieved_rate = 99.96;
    for (int i = 0; i < 98; ++i) pace.latencies.add(1ms);
    pace.latencies.add(20ms);
    pace.latencies.add(30ms);
    CHECK(pace_text(pace) ==
          "pace      100.0 answers/s of 100 wanted; latency from when due: p50 1.02 ms, p90 1.02 ms, "
          "p99 20.48 ms, p99.9 30.00 ms, max 30.00 ms\n");
    Options options;
    options.rate = 100;
    options.seconds = 1;
    const std::vector<Batch> slices{batch(100, 0)};
    const std::vector<std::time_t> started{0};
    const Rules rules;
    const Json json = Json::parse(to_json(options, slices, started, pace, judge(slices, {}, rules), rules));
    CHECK(json["options"]["rate"] == 100);
    CHECK(json["options"]["seconds"] == 1);
    CHECK_FALSE(json["options"].contains("requests"));
    CHECK(json["pace"]["wanted_rate"] == 100);
    CHECK(json["pace"]["latency_ms"]["max"] == 30);
}

TEST_CASE("the JSON names the faults") {
    const std::vector<Batch> batches{batch(199, 401)};
    const std::vector<std::time_t> started{0};
    const Rules rules = expecting(200);
    Options options;
    options.mode = Mode::router;
    options.config = "c.yaml";
    const Json json =
        Json::parse(to_json(options, batches, started, {}, judge(batches, {}, rules), rules));
    CHECK(json["mode"] == "router");
    CHECK(json["options"]["config"] == "c.yaml");
    CHECK(json["verdict"] == "FAIL");
    REQUIRE(json["findings"].size() == 1);
    CHECK(json["findings"][0]["fault"] == "unused");
    CHECK(json["findings"][0]["text"] ==
          "batch 1: 199 successes and 401 refusals, although the window had room for 200");
}
