// weir-bench-beats: what hosts that share limits cost the Redis that joins them. They come in turn, as often
// as hosts do under load, in a time that is only told to the script; the server says how long each beat took.
// Exit codes: 0 measured, 2 usage, 3 it did not work, 77 there is no redis-server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "router/redis/lease_message.hpp"
#include "router/redis/lease_script.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/redis_server.hpp"

namespace {

using weir::router::Beat;
using weir::router::BeatAnswer;
using weir::test::PlainRedis;
using weir::test::RedisServer;

struct Options {
    std::size_t beats = 20'000;
    bool json = false;
};

struct Scene {
    std::size_t hosts;
    std::size_t limits;  // that each host reports in each beat
};

constexpr Scene kScenes[] = {{2, 1}, {2, 4}, {10, 4}, {100, 4}, {1000, 4}, {1000, 40}};

/// A host under load sends so many in a second, all its limits in one (docs/benchmarks.md).
constexpr double kBeatsPerSecond = 0.2;

constexpr std::int64_t kLeaseMs = 15'000;
constexpr std::int64_t kMarginMs = 500;
constexpr double kYoungMs = kLeaseMs + kMarginMs;
constexpr weir::shm::Units kLimit = 1'000'000;
constexpr std::int64_t kWindowMs = 60'000;

class Hosts {
 public:
    Hosts(PlainRedis& client, const Scene& scene)
        : client_(client), scene_(scene), leases_(scene.hosts * scene.limits) {
        for (std::size_t host = 0; host < scene.hosts; ++host) {
            send(host, true);  // to hear of the incarnation
            send(host, true);
        }
        // While its data is young the store counts its hosts at every beat.
        for (const double end = now_ms_ + kYoungMs; now_ms_ < end;) beat();
    }

    /// The next host's turn.
    void beat() {
        now_ms_ += 1000 / (kBeatsPerSecond * static_cast<double>(scene_.hosts));
        send(next_++ % scene_.hosts, false);
    }

 private:
    void send(std::size_t host, bool registering) {
        Beat beat;
        beat.host = 1 + host;
        beat.claimed = incarnation_;
        beat.sequence = ++sequence_;
        beat.nonce = 42;
        beat.registering = registering;
        beat.lease_ms = kLeaseMs;
        beat.margin_ms = kMarginMs;
        beat.hosts_expected = scene_.hosts;
        for (std::size_t i = 0; i < scene_.limits; ++i) beat.reports.push_back(report(host, i));
        std::vector<std::string> words = {"EVALSHA", weir::router::lease_script_sha1()};
        const auto rest = to_words(beat, "{bench}:", static_cast<std::int64_t>(now_ms_));
        words.insert(words.end(), rest.begin(), rest.end());
        const auto answer = weir::router::read_answer(client_.command(words), scene_.limits);
        const bool known = incarnation_ != 0;
        if (!answer || (known && answer->status != BeatAnswer::Status::granted)) {
            throw std::runtime_error("Redis does not answer as it should");
        }
        incarnation_ = answer->incarnation;
        for (std::size_t i = 0; i < answer->leases.size(); ++i) lease(host, i) = answer->leases[i];
    }

    weir::router::LeaseReport report(std::size_t host, std::size_t limit) {
        const weir::shm::Units held = lease(host, limit);
        weir::router::LeaseReport report;
        report.key = fmt::format("3:key:5:{:05}:0:{}", limit, kWindowMs);
        report.full = kLimit;
        report.window_ms = kWindowMs;
        report.hold = held;
        report.used = held == 0 ? 0 : random_() % held;
        report.demand = report.used + random_() % 2000;
        report.need = std::max(held, report.used + random_() % 500);
        report.ask = report.used + random_() % 2000;
        return report;
    }

    weir::shm::Units& lease(std::size_t host, std::size_t limit) {
        return leases_[host * scene_.limits + limit];
    }

    PlainRedis& client_;
    Scene scene_;
    std::vector<weir::shm::Units> leases_;
    std::mt19937_64 random_{1};
    double now_ms_ = 1.7e12;
    std::uint64_t incarnation_ = 0;
    std::uint64_t sequence_ = 0;
    std::size_t next_ = 0;
};

/// The microseconds that the server has spent on scripts.
double spent_on_scripts(PlainRedis& client) {
    const std::string stats = client.command({"INFO", "commandstats"}).text;
    const std::string line = "cmdstat_evalsha:calls=";
    const std::size_t at = stats.find(line);
    const std::string key = "usec=";
    const std::size_t begin = stats.find(key, at);
    double spent = 0;
    if (at != std::string::npos && begin != std::string::npos) {
        std::from_chars(stats.data() + begin + key.size(), stats.data() + stats.size(), spent);
    }
    if (spent == 0) throw std::runtime_error("Redis does not say how long its commands took");
    return spent;
}

/// The microseconds that a beat costs the server.
double measure(const Scene& scene, std::size_t beats) {
    const RedisServer server;
    PlainRedis client(server.port());
    client.command({"SCRIPT", "LOAD", std::string(weir::router::lease_script())});
    Hosts hosts(client, scene);
    const double spent = spent_on_scripts(client);
    for (std::size_t i = 0; i < beats; ++i) hosts.beat();
    return (spent_on_scripts(client) - spent) / static_cast<double>(beats);
}

int run(const Options& options) {
    if (!RedisServer::available()) {
        fmt::print("skipped: there is no redis-server on this host\n");
        return 77;
    }
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    if (!options.json) {
        fmt::print("{:>8} {:>14} {:>17} {:>15}\n", "hosts", "limits a beat", "us of a beat", "% of a core");
    }
    for (const Scene& scene : kScenes) {
        const double measured = measure(scene, options.beats);
        const double share = measured / 1e6 * kBeatsPerSecond * static_cast<double>(scene.hosts);
        rows.push_back({{"hosts", scene.hosts},
                        {"limits", scene.limits},
                        {"microseconds_per_beat", measured},
                        {"share_of_a_core", share}});
        if (options.json) continue;
        fmt::print("{:8} {:14} {:17.1f} {:15.3f}\n", scene.hosts, scene.limits, measured, 100 * share);
        std::fflush(stdout);
    }
    if (options.json) fmt::print("{}\n", nlohmann::ordered_json{{"scenes", rows}}.dump(2));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("What hosts that share limits cost the Redis that joins them.", "weir-bench-beats");
    app.set_version_flag("--version", WEIR_VERSION);
    app.add_option("--beats", options.beats, "to measure, of each scene")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000'000));
    app.add_flag("--json", options.json, "print JSON");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        return run(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "weir-bench-beats: {}\n", error.what());
        return 3;
    }
}
