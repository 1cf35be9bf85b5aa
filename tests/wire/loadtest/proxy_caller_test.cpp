#include "loadtest/proxy_caller.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/raw_client.hpp"
#include "tests/wire/fake_server/running.hpp"
#include "tests/wire/loadtest/awaited.hpp"

using namespace weir::loadtest;
using namespace weir::loadtest::test;
using namespace std::chrono_literals;
using weir::fake_server::test::Running;
using Json = nlohmann::json;

namespace {

weir::router::Url url_of(std::uint16_t port) {
    weir::router::Url url;
    url.host = "127.0.0.1";
    url.port = port;
    return url;
}

Json arrivals_at(const Running& server) {
    return Json::parse(weir::test::fetch(server.port(), "GET", "/__ledger").body).at("arrivals");
}

/// A batch of calls at once; how many succeeded.
long successes(asio::io_context& io, ProxyCaller& caller, int calls) {
    std::vector<Task<Outcome>> tasks;
    for (int i = 0; i < calls; ++i) tasks.push_back(caller.call(R"({"model":"m"})"));
    const auto outcomes = all_of(io, std::move(tasks));
    return std::count(outcomes.begin(), outcomes.end(), Outcome::success);
}

}  // namespace

TEST_CASE("requests are spread over the proxies at random, evenly") {
    const Running one;
    const Running two;
    asio::io_context io(1);
    const std::vector urls{url_of(one.port()), url_of(two.port())};
    ProxyCaller caller(io, urls, 1, "sk-1234", 10s, 7);
    CHECK(successes(io, caller, 100) == 100);
    // A fair coin of 100 throws is outside of 25 to 75 once in two million; the seed is fixed anyway.
    const auto first = arrivals_at(one).size();
    CHECK(first > 25);
    CHECK(first < 75);
    CHECK(first + arrivals_at(two).size() == 100);
    for (const Json& arrival : arrivals_at(one)) CHECK(arrival["path"] == "/chat/completions");
    caller.stop();
}

TEST_CASE("what a proxy refuses is a refusal") {
    weir::fake_server::ServerOptions options;
    options.desk.window.requests_max = 10;
    const Running proxy(options);
    asio::io_context io(1);
    const std::vector urls{url_of(proxy.port())};
    ProxyCaller caller(io, urls, 1, "", 10s, 1);
    CHECK(successes(io, caller, 30) == 10);
}

TEST_CASE("instances have connections of their own") {
    const Running proxy;
    asio::io_context io(1);
    const std::vector urls{url_of(proxy.port())};
    ProxyCaller caller(io, urls, 3, "", 10s, 1);
    for (int i = 0; i < 30; ++i) CHECK(result_of(io, caller.call(R"({"model":"m"})")) == Outcome::success);
    std::set<int> connections;
    for (const Json& arrival : arrivals_at(proxy)) connections.insert(arrival["connection"].get<int>());
    CHECK(connections.size() == 3);
}
