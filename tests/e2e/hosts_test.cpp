// Several hosts, each with a segment of its own, that share their limits through a real Redis. What holds is
// seen in the upstreams' ledgers, which know nothing of it.
#include <catch2/catch.hpp>
#include <deque>
#include <thread>

#include "tests/e2e/site.hpp"
#include "tests/support/http.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/wait.hpp"

using namespace weir::test;

namespace {

/// Arrivals jitter against admissions, here by less than this on any machine that can run the test.
constexpr double kJitterSeconds = 0.3;

bool has_mode(Program& proxy, const std::string& mode) {
    const std::string line = "weir_limit_mode{mode=\"" + mode + "\"} 1\n";
    return fetch(proxy.port(), "GET", "/metrics").body.find(line) != std::string::npos;
}

struct Hosts {
    RedisServer redis;
    Site site;
    std::deque<ScratchSegment> segments;
    std::vector<Program*> proxies;

    /// `settings` are further ones of weir_settings.
    Hosts(std::size_t count, const std::string& settings) : site(options(count, redis.port(), settings)) {
        for (std::size_t i = 0; i < count; ++i) {
            segments.emplace_back();
            proxies.push_back(&site.start_proxy(0, segments.back().name()));
        }
        wait_for_mode("shared");
    }

    static Site::Options options(std::size_t count, std::uint16_t port, const std::string& settings) {
        Site::Options options;
        options.weir_settings = "expected_hosts: " + std::to_string(count) +
                                ", redis: {host: 127.0.0.1, port: " + std::to_string(port) +
                                ", lease_seconds: 1, wait_ms: 300, timeout_ms: 300}" + settings;
        return options;
    }

    void wait_for_mode(const std::string& mode) {
        for (Program* proxy : proxies) {
            INFO(proxy->errors());
            REQUIRE(wait_until([&] { return has_mode(*proxy, mode); }));
        }
    }

    std::vector<std::string> load(std::vector<std::string> more) const {
        std::vector<std::string> arguments{"proxy"};
        for (Program* proxy : proxies) {
            arguments.emplace_back("--url");
            arguments.push_back(url_of(proxy->port()));
        }
        const auto judged_by = site.judged_by_ledgers();
        arguments.insert(arguments.end(), judged_by.begin(), judged_by.end());
        arguments.insert(arguments.end(), more.begin(), more.end());
        return arguments;
    }

    /// At each upstream, never more than 100 in a window.
    void check_ledgers() const {
        for (const std::uint16_t port : site.upstream_ports()) {
            CHECK(fullest_window(arrivals_at(port), 2 - kJitterSeconds) <= 100);
        }
    }

    std::uint64_t arrivals() const {
        std::uint64_t sum = 0;
        for (const std::uint16_t port : site.upstream_ports()) sum += arrival_count(port);
        return sum;
    }
};

/// Sends requests at each proxy, one after the other, until it ends.
class Traffic {
 public:
    explicit Traffic(const std::vector<Program*>& proxies) {
        for (Program* proxy : proxies) {
            threads_.emplace_back([this, port = proxy->port()](const std::stop_token& stop) {
                while (!stop.stop_requested()) ask(port);
            });
        }
    }

 private:
    static void ask(std::uint16_t port) {
        const std::string body =
            R"({"model":"fake-openai-endpoint","messages":[{"role":"user","content":"hi"}]})";
        try {
            fetch(port, "POST", "/v1/chat/completions", body,
                  "authorization: Bearer sk-1234\r\ncontent-type: application/json\r\n");
        } catch (const std::exception&) {
            // Whatever it is, the ledgers judge.
        }
        wait_until([] { return false; }, std::chrono::milliseconds(2));
    }
    std::vector<std::jthread> threads_;
};

bool skipped() {
    if (RedisServer::available()) return false;
    WARN("skipped: there is no redis-server");
    return true;
}

}  // namespace

TEST_CASE("three hosts together give out exactly the limit in every window") {
    if (skipped()) return;
    Hosts hosts(3, "");
    const Judged judged = judge(hosts.load({"--batches", "3", "--pause", "2.4", "--expect", "200"}));
    INFO(judged.finished.output << judged.finished.errors);
    REQUIRE(judged.finished.status == 0);
    CHECK(judged.record.at("total").at("successes") == 600);
    CHECK(judged.record.at("total").at("errors") == nlohmann::json::object());
    hosts.check_ledgers();
}

TEST_CASE("one busy host among three gets the whole limit") {
    if (skipped()) return;
    Hosts hosts(3, "");
    hosts.proxies.resize(1);
    const Judged judged = judge(hosts.load({"--batches", "2", "--pause", "2.4", "--expect", "200"}));
    INFO(judged.finished.output << judged.finished.errors);
    CHECK(judged.finished.status == 0);
    CHECK(judged.record.at("total").at("successes") == 400);
}

TEST_CASE("Redis dies under load and comes back empty, and no window is ever overfull") {
    if (skipped()) return;
    Hosts hosts(2, ", fail_mode: share");
    {
        const Traffic traffic(hosts.proxies);
        REQUIRE(wait_until([&] { return hosts.arrivals() >= 200; }));
        hosts.redis.stop();
        hosts.wait_for_mode("share");
        const std::uint64_t before = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 150; }));  // it goes on, by shares
        hosts.redis.restart();
        hosts.wait_for_mode("shared");
        const std::uint64_t after = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= after + 200; }));
        const auto answer = fetch(hosts.proxies[0]->port(), "POST", "/v1/chat/completions",
                                  R"({"model":"fake-openai-endpoint","messages":[]})",
                                  "authorization: Bearer sk-1234\r\ncontent-type: application/json\r\n");
        CHECK(answer.field("x-weir-limit-mode") == "shared");
    }
    hosts.check_ledgers();
}

TEST_CASE("Redis hangs, and hosts whose fail mode is closed admit nothing until it goes on") {
    if (skipped()) return;
    Hosts hosts(2, ", fail_mode: closed");
    {
        const Traffic traffic(hosts.proxies);
        REQUIRE(wait_until([&] { return hosts.arrivals() >= 100; }));
        hosts.redis.pause();
        hosts.wait_for_mode("closed");
        const std::uint64_t before = hosts.arrivals();
        CHECK_FALSE(wait_until([&] { return hosts.arrivals() > before + 2; }, std::chrono::seconds(1)));
        // At most what was on its way.
        hosts.redis.resume();
        hosts.wait_for_mode("shared");
        REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 100; }));
    }
    hosts.check_ledgers();
}
