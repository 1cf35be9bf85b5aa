#include <catch2/catch.hpp>

#include "tests/model/lease_simulation.hpp"

using namespace std::chrono_literals;
using namespace weir::test;
using weir::router::FailMode;

namespace {

/// The hosts' clocks may run a little fast, which shortens their windows by as much.
Nanos window_for(const SimSettings& settings) {
    return settings.window - settings.window / 5000;
}

SimSettings quick(std::uint64_t seed) {
    SimSettings settings;
    settings.seed = seed;
    settings.hosts = 2 + seed % 4;
    settings.timing.lease = 1500ms;
    settings.timing.margin = 100ms;
    settings.timing.retry_most = 300ms;
    return settings;
}

Nanos somewhen(std::mt19937_64& random, Nanos from, Nanos to) {
    return from +
           Nanos(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>((to - from).count())));
}

/// Bursts and streams at every host, more than the limit allows in the sum.
void make_load(LeaseSimulation& sim, const SimSettings& settings, std::mt19937_64& random, Nanos end) {
    for (std::size_t host = 0; host < settings.hosts; ++host) {
        for (Nanos from{}; from < end;) {
            const Nanos to = from + somewhen(random, 200ms, 5s);
            const double rate = random() % 3 == 0 ? 0.5 : static_cast<double>(1 + random() % 60);
            sim.load(host, rate, from, to, 1 + random() % 3);
            from = to;
        }
    }
}

}  // namespace

TEST_CASE("one busy host gets the whole limit, and hosts that are all busy use it up together") {
    SimSettings settings = quick(1);
    settings.limit = 600;
    settings.window = 60s;
    settings.timing = {};
    settings.hosts = 4;
    SECTION("one") {
        LeaseSimulation sim(settings);
        sim.load(0, 40, 1s, 200s);
        sim.run_until(200s);
        CHECK(fullest(sim.log(), window_for(settings)) <= 600);
        CHECK(sim.log().size() >= 600 * 195 / 62);
    }
    SECTION("all") {
        LeaseSimulation sim(settings);
        for (std::size_t host = 0; host < 4; ++host) sim.load(host, 10, 1s, 200s);
        sim.run_until(200s);
        CHECK(fullest(sim.log(), window_for(settings)) <= 600);
        CHECK(sim.log().size() >= 600 * 195 / 62);
        for (std::size_t host = 0; host < 4; ++host) CHECK(sim.admitted_by(host) >= 600 / 4);
    }
    SECTION("95 to 5") {
        LeaseSimulation sim(settings);
        sim.load(0, 19, 1s, 240s);
        sim.load(1, 1, 1s, 240s);
        sim.run_until(240s);
        CHECK(fullest(sim.log(), window_for(settings)) <= 600);
        CHECK(sim.log().size() >= 600 * 238 / 62 * 95 / 100);
        CHECK(sim.admitted_by(1) >= 50);
    }
}

TEST_CASE("a batch at all hosts at once is given the limit exactly") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SimSettings settings = quick(seed);
        settings.limit = 200;
        settings.window = 60s;
        settings.timing = {};
        LeaseSimulation sim(settings);
        for (int batch = 0; batch < 3; ++batch) {
            for (std::size_t i = 0; i < 600; ++i) sim.once(i % settings.hosts, 1s + batch * 64s + i * 20us);
        }
        sim.run_until(200s);
        CAPTURE(seed, settings.hosts);
        CHECK(fullest(sim.log(), window_for(settings)) == 200);
        CHECK(sim.log().size() >= 600);
    }
}

TEST_CASE("the smallest limits are used by whoever asks") {
    for (std::uint64_t limit = 1; limit <= 5; ++limit) {
        SimSettings settings = quick(limit);
        settings.limit = limit;
        settings.hosts = 5;
        LeaseSimulation sim(settings);
        for (std::size_t host = 0; host < 5; ++host) sim.load(host, 2, 100ms, 60s);
        sim.run_until(60s);
        CAPTURE(limit);
        CHECK(fullest(sim.log(), window_for(settings)) <= limit);
        CHECK(sim.log().size() >= limit * 8);  // of 9.8 windows
    }
}

TEST_CASE("never over the limit: hosts die and return, messages are lost and late, the store stops") {
    std::uint64_t admitted = 0;
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.lost = 0.01 * static_cast<double>(seed % 5);
        LeaseSimulation sim(settings);
        std::mt19937_64 random(seed * 77);
        make_load(sim, settings, random, 60s);
        for (int i = 0; i < 4; ++i) {
            const Nanos down = somewhen(random, 1s, 50s);
            sim.at(down, [&] { sim.stop_store(); });
            sim.at(down + somewhen(random, 50ms, 12s), [&] { sim.start_store(false); });
        }
        for (int i = 0; i < 4; ++i) {
            const std::size_t host = random() % settings.hosts;
            const Nanos dies = somewhen(random, 1s, 50s);
            sim.at(dies, [&sim, host] { sim.kill(host); });
            sim.at(dies + somewhen(random, 1ms, 15s), [&sim, host] { sim.revive(host, false); });
        }
        sim.run_until(60s);
        CAPTURE(seed, settings.hosts);
        CHECK(fullest(sim.log(), window_for(settings)) <= settings.limit);
        admitted += sim.log().size();
    }
    CHECK(admitted > 150 * 200);
}

TEST_CASE("never over the limit when hosts are cut off, and fail_mode is closed") {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.fail_mode = FailMode::closed;
        LeaseSimulation sim(settings);
        std::mt19937_64 random(seed * 177);
        make_load(sim, settings, random, 60s);
        for (int i = 0; i < 8; ++i) {
            const std::size_t host = random() % settings.hosts;
            const Nanos cut = somewhen(random, 1s, 50s);
            sim.at(cut, [&sim, host] { sim.cut_off(host, true); });
            sim.at(cut + somewhen(random, 50ms, 15s), [&sim, host] { sim.cut_off(host, false); });
        }
        sim.run_until(60s);
        CAPTURE(seed, settings.hosts);
        CHECK(fullest(sim.log(), window_for(settings)) <= settings.limit);
    }
}

TEST_CASE("a host that is cut off exceeds the limit by its share at most, where fail_mode is share") {
    bool exceeded = false;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        SimSettings settings = quick(seed);
        LeaseSimulation sim(settings);
        std::mt19937_64 random(seed * 277);
        make_load(sim, settings, random, 60s);
        const std::size_t host = random() % settings.hosts;
        const Nanos cut = somewhen(random, 1s, 20s);
        sim.at(cut, [&sim, host] { sim.cut_off(host, true); });
        sim.at(cut + somewhen(random, 1s, 40s), [&sim, host] { sim.cut_off(host, false); });
        sim.run_until(60s);
        CAPTURE(seed, settings.hosts);
        const Units most = fullest(sim.log(), window_for(settings));
        CHECK(most <= settings.limit + settings.limit / settings.hosts);
        exceeded = exceeded || most > settings.limit;
    }
    CHECK(exceeded);  // what the documentation warns of does happen
}

TEST_CASE("never over the limit when the store is started again without its data") {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.lost = seed % 3 == 0 ? 0.1 : 0;
        LeaseSimulation sim(settings);
        std::mt19937_64 random(seed * 377);
        make_load(sim, settings, random, 60s);
        for (int i = 0; i < 3; ++i) {
            const Nanos down = somewhen(random, 2s, 50s);
            sim.at(down, [&] { sim.stop_store(); });
            sim.at(down + somewhen(random, 1ms, 12s), [&] { sim.start_store(true); });
        }
        sim.run_until(60s);
        CAPTURE(seed, settings.hosts);
        CHECK(fullest(sim.log(), window_for(settings)) <= settings.limit);
    }
}

TEST_CASE("after an outage everything is as before by itself") {
    SimSettings settings = quick(3);
    settings.hosts = 3;
    LeaseSimulation sim(settings);
    for (std::size_t host = 0; host < 3; ++host) sim.load(host, 20, 0s, 60s);
    sim.at(10s, [&] { sim.stop_store(); });
    sim.run_until(12s);
    CHECK(sim.mode(0) == weir::shm::LeaseMode::share);
    const auto before = sim.log().size();
    sim.run_until(30s);
    CHECK(sim.log().size() > before + 99 * 12 / 7);  // each of the three keeps to a third of it
    sim.start_store(false);
    sim.run_until(32s);
    for (std::size_t host = 0; host < 3; ++host) CHECK(sim.mode(host) == weir::shm::LeaseMode::shared);
    CHECK(fullest(sim.log(), window_for(settings)) <= settings.limit);
}

TEST_CASE("a thousand hosts share a limit") {
    SimSettings settings = quick(9);
    settings.hosts = 1000;
    settings.limit = 20'000;
    settings.window = 60s;
    settings.timing = {};
    LeaseSimulation sim(settings);
    const Nanos end = 150s;
    // A tenth of the hosts has nine tenths of the demand, which is 1.5 times the limit.
    for (std::size_t host = 0; host < 1000; ++host) sim.load(host, host % 10 == 0 ? 4.5 : 0.0556, 1s, end);
    sim.run_until(end);
    const double used = static_cast<double>(fullest(sim.log(), 60s)) / 20'000;
    const double beats = static_cast<double>(sim.beats()) / 149.0;
    CAPTURE(used, beats, sim.refused());
    WARN("utilisation " << used << ", beats a second " << beats << ", of a host " << beats / 1000);
    CHECK(fullest(sim.log(), window_for(settings)) <= settings.limit);
    CHECK(used >= 0.9);
    CHECK(beats <= 1000);
}
