// Several hosts on one machine: proxies, each with a segment of its own, that share their limits through a
// Redis. What holds is seen in the upstreams' ledgers, which know nothing of it.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/site.hpp"
#include "tests/support/no_redis.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/wait.hpp"

namespace weir::test {

/// Arrivals jitter against admissions, here by less than this on any machine that can run the test.
inline constexpr double kJitterSeconds = 0.3;

inline constexpr const char* kCaller =
    "authorization: Bearer sk-1234\r\ncontent-type: application/json\r\n";
inline constexpr const char* kQuestion =
    R"({"model":"fake-openai-endpoint","max_tokens":60,"messages":[{"role":"user","content":"hi"}]})";

class Hosts {
 public:
    struct Options {
        std::size_t count = 2;
        /// In weir_settings.redis: where the store is …
        std::string store;
        /// … and how the hosts deal with it.
        std::string timing = "lease_seconds: 1, wait_ms: 300, timeout_ms: 300";
        std::string fail_mode = "share";
        /// The mode in which they begin.
        std::string begins = "shared";
        Site::Options site{};
        /// Of each host's proxy, "NAME=value".
        std::vector<std::vector<std::string>> environments{};
    };

    explicit Hosts(const Options& options) : window_(options.site.window_seconds), site_(complete(options)) {
        for (std::size_t i = 0; i < options.count; ++i) {
            segments_.emplace_back();
            const std::vector<std::string> none;
            const auto& environment = i < options.environments.size() ? options.environments[i] : none;
            proxies_.push_back(&site_.start_proxy(0, segments_.back().name(), environment));
        }
        wait_for_mode(options.begins);
    }

    static std::string at(std::uint16_t port) {
        return "host: 127.0.0.1, port: " + std::to_string(port);
    }

    Site& site() noexcept { return site_; }
    Program& proxy(std::size_t host) { return *proxies_[host]; }
    const std::vector<Program*>& proxies() const noexcept { return proxies_; }
    const std::string& segment(std::size_t host) const { return segments_[host].name(); }

    RawAnswer ask(std::size_t host) {
        return fetch(proxies_[host]->port(), "POST", "/v1/chat/completions", kQuestion, kCaller);
    }

    bool has_mode(std::size_t host, const std::string& mode) {
        const std::string line = "weir_limit_mode{mode=\"" + mode + "\"} 1\n";
        return fetch(proxies_[host]->port(), "GET", "/metrics").body.find(line) != std::string::npos;
    }

    void wait_for_mode(const std::string& mode) {
        for (std::size_t host = 0; host < proxies_.size(); ++host) {
            INFO("host " << host << " and mode " << mode << "\n" << proxies_[host]->errors());
            REQUIRE(wait_until([&] { return has_mode(host, mode); }));
        }
    }

    std::uint64_t arrivals() const {
        std::uint64_t sum = 0;
        for (const std::uint16_t port : site_.upstream_ports()) sum += arrival_count(port);
        return sum;
    }

    /// The fullest window of any upstream.
    std::size_t fullest() const {
        std::size_t most = 0;
        for (const std::uint16_t port : site_.upstream_ports()) {
            most = std::max(most, fullest_window(arrivals_at(port), window_ - kJitterSeconds));
        }
        return most;
    }

 private:
    static Site::Options complete(const Options& options) {
        Site::Options site = options.site;
        const std::string more = site.weir_settings.empty() ? "" : ", " + site.weir_settings;
        site.weir_settings = "expected_hosts: " + std::to_string(options.count) +
                             ", fail_mode: " + options.fail_mode + ", redis: {" + options.store +
                             (options.store.empty() ? "" : ", ") + options.timing + "}" + more;
        return site;
    }

    double window_;
    Site site_;
    std::deque<ScratchSegment> segments_;
    std::vector<Program*> proxies_;
};

/// Sends requests at each host, `threads` at once, one after the other, until it ends.
class Traffic {
 public:
    explicit Traffic(Hosts& hosts, int threads = 1) {
        for (Program* proxy : hosts.proxies()) {
            for (int i = 0; i < threads; ++i) {
                threads_.emplace_back([port = proxy->port()](const std::stop_token& stop) {
                    while (!stop.stop_requested()) ask(port);
                });
            }
        }
    }

 private:
    static void ask(std::uint16_t port) {
        try {
            fetch(port, "POST", "/v1/chat/completions", kQuestion, kCaller);
        } catch (const std::exception&) {
            // Whatever it is, the ledgers judge.
        }
        pause_for(std::chrono::milliseconds(2));
    }
    std::vector<std::jthread> threads_;
};

}  // namespace weir::test
