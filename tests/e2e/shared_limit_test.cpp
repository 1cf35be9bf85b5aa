// The promise: one limit over all processes of a host, exact, whatever starts late, dies or comes
// back. The upstreams refuse nothing here: it is the shared window alone that holds the number.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/e2e/site.hpp"

using namespace weir::test;

namespace {

/// How long the slowest batch took: no request arrived later than this after it was admitted.
double slowest_batch(const nlohmann::json& record) {
    double slowest = 0;
    for (const auto& batch : record.at("batches")) {
        slowest = std::max(slowest, batch.at("seconds").get<double>());
    }
    return slowest;
}

/// At each upstream, never more than 100 admitted in a window.
void check_ledgers(const Site& site, double window_seconds, double jitter_seconds) {
    for (const std::uint16_t port : site.upstream_ports()) {
        const auto arrivals = arrivals_at(port);
        CHECK(arrivals.size() >= 100);
        CHECK(fullest_window(arrivals, window_seconds - jitter_seconds) <= 100);
        for (const auto& arrival : arrivals) CHECK(arrival.at("verdict") == "accepted");
    }
}

/// Successes of `requests` through one proxy, at once.
std::uint64_t successes_through(Program& proxy, unsigned requests) {
    const Judged judged = judge({"proxy", "--url", url_of(proxy.port()), "--batches", "1", "--requests",
                                 std::to_string(requests)});
    CHECK(judged.record.at("total").at("errors") == nlohmann::json::object());
    return judged.record.at("total").at("successes").get<std::uint64_t>();
}

std::uint64_t units_in_use(const Site& site) {
    const Finished inspected = run({"weir-inspect", "--segment", site.segment(), "--json"});
    const auto view = nlohmann::json::parse(inspected.output);
    std::uint64_t used = 0;
    for (const auto& limiter : view.at("limiters")) used += limiter.at("used").get<std::uint64_t>();
    return used;
}

}  // namespace

TEST_CASE("two proxies together give out exactly the limit in every window") {
    const Site::Options options;
    Site site(options);
    const std::vector<Program*> proxies{&site.start_proxy(), &site.start_proxy()};
    const Judged judged =
        judge(site.load(proxies, {"--batches", "3", "--pause", "1.1", "--expect", "200"}));
    INFO(judged.finished.output << judged.finished.errors);
    REQUIRE(judged.finished.status == 0);
    CHECK(judged.record.at("fullest_window") == 200);
    CHECK(units_in_use(site) <= 200);
    CHECK(judged.record.at("total").at("requests") == 1800);
    CHECK(judged.record.at("total").at("errors") == nlohmann::json::object());
    for (const auto& ledger : judged.record.at("ledgers")) {
        CHECK(ledger.at("fullest_window_proven") == 100);
        CHECK(ledger.at("refused") == 0);
    }
    check_ledgers(site, options.window_seconds, slowest_batch(judged.record));
}

TEST_CASE("requests that keep coming at a constant rate get exactly the limit") {
    const Site::Options options;
    Site site(options);
    const std::vector<Program*> proxies{&site.start_proxy(), &site.start_proxy()};
    const Judged judged = judge(site.load(proxies, {"--rate", "400", "--seconds", "4.5", "--processes",
                                                           "2"}));
    INFO(judged.finished.output << judged.finished.errors);
    CHECK(judged.finished.status == 0);
    CHECK(judged.record.at("total").at("requests") == 1800);
    // Two windows and the beginning of a third, each of which got all that there was.
    CHECK(judged.record.at("total").at("successes").get<int>() >= 2 * 196);
    CHECK(judged.record.at("total").at("successes").get<int>() <= 3 * 200);
    CHECK(judged.record.at("pace").at("latency_ms").at("p50").get<double>() > 0);
}

TEST_CASE("routers in two processes, two in each, together give out exactly the limit") {
    const Site::Options options;
    Site site(options);
    std::vector<std::string> arguments{"router", "--config", site.config(), "--processes", "2",
                                       "--instances", "2", "--batches", "3", "--pause", "1.1",
                                       "--expect", "200"};
    const auto judged_by = site.judged_by_ledgers();
    arguments.insert(arguments.end(), judged_by.begin(), judged_by.end());
    const Judged judged = judge(arguments);
    INFO(judged.finished.output << judged.finished.errors);
    REQUIRE(judged.finished.status == 0);
    CHECK(judged.record.at("fullest_window") == 200);
    CHECK(judged.record.at("total").at("errors") == nlohmann::json::object());
    check_ledgers(site, options.window_seconds, slowest_batch(judged.record));
}

TEST_CASE("a proxy and a router of another process share the limit") {
    Site::Options options;
    options.window_seconds = 60;
    Site site(options);
    Program& proxy = site.start_proxy();
    CHECK(successes_through(proxy, 150) == 150);
    const Judged judged = judge({"router", "--config", site.config(), "--requests", "600", "--batches", "1"});
    CHECK(judged.record.at("total").at("successes") == 50);
    check_ledgers(site, options.window_seconds, 0);
}

TEST_CASE("a proxy that starts later, or again, sees what the others have used") {
    Site::Options options;
    options.window_seconds = 60;  // longer than the test takes
    Site site(options);
    Program& first = site.start_proxy();
    CHECK(successes_through(first, 190) == 190);

    Program& later = site.start_proxy();
    CHECK(successes_through(later, 100) == 10);
    CHECK(successes_through(first, 50) == 0);

    const std::uint16_t port = first.port();
    CHECK(first.stop() == 0);
    CHECK(later.stop() == 0);
    CHECK(successes_through(site.start_proxy(port), 50) == 0);
    check_ledgers(site, options.window_seconds, 0);
}

TEST_CASE("a proxy killed with requests in its hands and started again: never over, nothing lost") {
    Site::Options options;
    options.upstream_arguments = {"--rpm", "0", "--latency-ms", "400"};
    Site site(options);
    Program& steady = site.start_proxy();
    Program& victim = site.start_proxy();
    const std::uint16_t port = victim.port();

    const ScratchFolder folder;
    const std::string record = folder.path("record.json");
    std::vector<std::string> command =
        site.load({&steady, &victim},
                  {"--batches", "5", "--pause", "0.7", "--expect", "200", "--json", record});
    command.insert(command.begin(), "weir-loadtest");
    Program loadtest(command);
    // The answers take 400 ms, so that what has just arrived is still in the proxies' hands.
    const auto arrived = [&] {
        return arrival_count(site.upstream_ports()[0]) + arrival_count(site.upstream_ports()[1]);
    };
    REQUIRE(wait_until([&] { return arrived() >= 100; }));
    victim.kill();
    site.start_proxy(port);
    const int status = loadtest.wait(std::chrono::seconds(60));
    INFO(loadtest.output() << loadtest.errors());
    CHECK(status == 0);
    const auto judged = nlohmann::json::parse(read_file(record));
    const auto total = judged.at("total");
    CHECK(total.at("errors").value("connection_lost", 0) > 0);  // or the kill met nothing
    check_ledgers(site, options.window_seconds, slowest_batch(judged));

    // What the dead proxy held comes back with its window, all of it.
    REQUIRE(wait_until([&] { return units_in_use(site) == 0; }));
    CHECK(successes_through(steady, 600) == 200);
}
