#include <catch2/catch.hpp>
#include <numeric>

#include "tests/model/lease_simulation.hpp"

using namespace std::chrono_literals;
using namespace weir::test;
using weir::router::FailMode;

namespace {

constexpr Nanos kMinute = 60s;

/// A limit by the minute, and leases as they are by default.
SimSettings usual(std::uint64_t seed, std::size_t hosts, Units limit) {
    SimSettings settings;
    settings.seed = seed;
    settings.hosts = hosts;
    settings.limit = limit;
    settings.window = kMinute;
    return settings;
}

/// Short windows and leases, so that much can happen in a minute.
SimSettings quick(std::uint64_t seed) {
    SimSettings settings;
    settings.seed = seed;
    settings.hosts = 2 + seed % 4;
    settings.timing.lease = 1500ms;
    settings.timing.margin = 100ms;
    settings.timing.retry_most = 300ms;
    return settings;
}

/// The most that was admitted in any window. The hosts' clocks may run a little fast, which shortens their
/// windows by as much.
Units fullest(const LeaseSimulation& sim, const SimSettings& settings) {
    return fullest(sim.log(), settings.window - settings.window / 5000);
}

/// A minute of bursts and streams at every host, more than the limit allows in the sum, and of trouble.
class Minute {
 public:
    Minute(const SimSettings& settings, std::uint64_t seed)
        : settings_(settings), random_(seed), sim_(settings) {
        for (std::size_t host = 0; host < settings.hosts; ++host) {
            for (Nanos from{}; from < kMinute;) {
                const Nanos to = from + somewhen(200ms, 5s);
                const double rate = random_() % 3 == 0 ? 0.5 : static_cast<double>(1 + random_() % 60);
                sim_.load(host, rate, from, to, 1 + random_() % 3);
                from = to;
            }
        }
    }

    /// So many times `begin`s at a moment between `from` and `to`, and `end`s between `least` and `most`
    /// later.
    struct When {
        int times;
        Nanos from, to;
        Nanos least, most;
    };
    template <class Begin, class End>
    void trouble(const When& when, Begin begin, End end) {
        for (int i = 0; i < when.times; ++i) {
            const std::size_t host = random_() % settings_.hosts;
            const Nanos begins = somewhen(when.from, when.to);
            sim_.at(begins, [this, begin, host] { begin(sim_, host); });
            sim_.at(begins + somewhen(when.least, when.most), [this, end, host] { end(sim_, host); });
        }
    }

    void run() { sim_.run_until(kMinute); }
    Units fullest() const { return ::fullest(sim_, settings_); }
    std::size_t admitted() const { return sim_.log().size(); }

 private:
    Nanos somewhen(Nanos from, Nanos to) {
        return from +
               Nanos(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>((to - from).count())));
    }

    SimSettings settings_;
    std::mt19937_64 random_;
    LeaseSimulation sim_;
};

// What goes wrong, and is over again.
constexpr auto kCutOff = [](LeaseSimulation& sim, std::size_t host) { sim.cut_off(host, true); };
constexpr auto kReachable = [](LeaseSimulation& sim, std::size_t host) { sim.cut_off(host, false); };
constexpr auto kDies = [](LeaseSimulation& sim, std::size_t host) { sim.kill(host); };
constexpr auto kReturns = [](LeaseSimulation& sim, std::size_t host) { sim.revive(host, false); };
constexpr auto kStops = [](LeaseSimulation& sim, std::size_t) { sim.stop_store(); };
constexpr auto kGoesOn = [](LeaseSimulation& sim, std::size_t) { sim.start_store(false); };
constexpr auto kSaves = [](LeaseSimulation& sim, std::size_t) { sim.save_store(); };
constexpr auto kNothing = [](LeaseSimulation&, std::size_t) {};
constexpr auto kIsAsSaved = [](LeaseSimulation& sim, std::size_t) { sim.start_store_as_saved(); };
constexpr auto kIsEmpty = [](LeaseSimulation& sim, std::size_t) { sim.start_store(true); };

}  // namespace

TEST_CASE("one busy host gets the whole limit, and hosts that are all busy use it up together") {
    const SimSettings settings = usual(1, 4, 600);
    LeaseSimulation sim(settings);
    SECTION("one") {
        sim.load(0, 40, 1s, 240s);
        sim.run_until(240s);
        CHECK(sim.log().size() >= 600 * 235 / 62);
    }
    SECTION("all") {
        for (std::size_t host = 0; host < 4; ++host) sim.load(host, 10, 1s, 240s);
        sim.run_until(240s);
        CHECK(sim.log().size() >= 600 * 235 / 62);
        for (std::size_t host = 0; host < 4; ++host) CHECK(sim.admitted_by(host) >= 600 / 4);
    }
    SECTION("95 to 5") {
        sim.load(0, 19, 1s, 240s);
        sim.load(1, 1, 1s, 240s);
        sim.run_until(240s);
        CHECK(sim.log().size() >= 600 * 238 / 62 * 95 / 100);
        CHECK(sim.admitted_by(1) >= 50);
    }
    CHECK(fullest(sim, settings) <= 600);
}

TEST_CASE("the store is seldom asked: at a limit of 1,000 at most 0.05 times for each that is admitted") {
    struct Case {
        std::size_t hosts;
        std::vector<double> rates;
    };
    // 1.2 times the limit is offered, in the last two 0.9 times and 2 times.
    for (const Case& one : {Case{2, {19, 1}}, Case{2, {10, 10}}, Case{4, {5, 5, 5, 5}},
                            Case{4, {17, 1, 1, 1}}, Case{4, {12.75, 0.75, 0.75, 0.75}},
                            Case{4, {28.3, 1.7, 1.7, 1.7}}}) {
        double beats = 0, admitted = 0;
        for (std::uint64_t seed = 3; seed <= 7; ++seed) {
            const SimSettings settings = usual(seed, one.hosts, 1000);
            LeaseSimulation sim(settings);
            for (std::size_t host = 0; host < one.hosts; ++host) sim.load(host, one.rates[host], 1s, 600s);
            sim.run_until(600s);
            beats += static_cast<double>(sim.beats());
            admitted += static_cast<double>(sim.log().size());
            CHECK(fullest(sim, settings) <= 1000);
        }
        const double asked = beats / admitted;
        CAPTURE(one.rates, asked);
        CHECK(asked <= 0.05);
        const double offered = std::accumulate(one.rates.begin(), one.rates.end(), 0.0);
        CHECK(admitted >= 0.98 * 5 * 598 * std::min(1000.0 / 62, offered));
    }
}

TEST_CASE("a fast stream soon asks for many at once") {
    const SimSettings settings = usual(4, 1, 1'000'000);
    LeaseSimulation sim(settings);
    sim.load(0, 2000, 1s, 3s);
    sim.run_until(3s);
    CHECK(sim.log().size() > 3500);
    CHECK(sim.beats() < 100);
}

TEST_CASE("a batch at all hosts at once is given the limit exactly") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const SimSettings settings = usual(seed, 2 + seed % 4, 200);
        LeaseSimulation sim(settings);
        for (int batch = 0; batch < 3; ++batch) {
            for (std::size_t i = 0; i < 600; ++i) sim.once(i % settings.hosts, 1s + batch * 64s + i * 20us);
        }
        sim.run_until(200s);
        CAPTURE(seed, settings.hosts);
        CHECK(fullest(sim, settings) == 200);
        CHECK(sim.log().size() == 600);
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
        CHECK(fullest(sim, settings) <= limit);
        CHECK(sim.log().size() >= limit * 8);  // of 9.8 windows
    }
}

TEST_CASE("never over the limit: hosts die and return, messages are lost and late, the store stops") {
    std::uint64_t admitted = 0;
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.lost = 0.01 * static_cast<double>(seed % 5);
        Minute minute(settings, seed * 77);
        minute.trouble({4, 1s, 50s, 50ms, 12s}, kStops, kGoesOn);
        minute.trouble({4, 1s, 50s, 1ms, 15s}, kDies, kReturns);
        minute.run();
        CAPTURE(seed, settings.hosts);
        CHECK(minute.fullest() <= settings.limit);
        admitted += minute.admitted();
    }
    CHECK(admitted > 150 * 200);
}

TEST_CASE("never over the limit when hosts are cut off, and fail_mode is closed") {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.fail_mode = FailMode::closed;
        Minute minute(settings, seed * 177);
        minute.trouble({8, 1s, 50s, 50ms, 15s}, kCutOff, kReachable);
        minute.run();
        CAPTURE(seed, settings.hosts);
        CHECK(minute.fullest() <= settings.limit);
    }
}

TEST_CASE("a host that is cut off exceeds the limit by its share at most, where fail_mode is share") {
    bool exceeded = false;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        const SimSettings settings = quick(seed);
        Minute minute(settings, seed * 277);
        minute.trouble({1, 1s, 20s, 1s, 40s}, kCutOff, kReachable);
        minute.run();
        CAPTURE(seed, settings.hosts);
        CHECK(minute.fullest() <= settings.limit + settings.limit / settings.hosts);
        exceeded = exceeded || minute.fullest() > settings.limit;
    }
    CHECK(exceeded);  // what the documentation warns of does happen
}

TEST_CASE("never over the limit when the store is started again without its data") {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.lost = seed % 3 == 0 ? 0.1 : 0;
        Minute minute(settings, seed * 377);
        minute.trouble({3, 2s, 50s, 1ms, 12s}, kStops, kIsEmpty);
        minute.run();
        CAPTURE(seed, settings.hosts);
        CHECK(minute.fullest() <= settings.limit);
    }
}

TEST_CASE("the store is started again with data of some time ago: at once, some is granted twice at most") {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.fail_mode = seed % 2 == 0 ? FailMode::share : FailMode::closed;
        Minute minute(settings, seed * 477);
        minute.trouble({20, 0s, 50s, 1ms, 10ms}, kSaves, kNothing);
        minute.trouble({4, 2s, 50s, 1ms, 8s}, kStops, kIsAsSaved);
        minute.run();
        CAPTURE(seed, settings.hosts, settings.fail_mode);
        // A host may speak before the one that can tell, and get what that one was granted at last.
        CHECK(minute.fullest() <= settings.limit + 3);
    }
}

TEST_CASE("never over the limit when the store is slow, and stops again and again") {
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SimSettings settings = quick(seed);
        settings.late = 300ms;
        settings.deadline = 700ms;
        Minute minute(settings, seed * 577);
        minute.trouble({4, 1s, 50s, 50ms, 12s}, kStops, kGoesOn);
        minute.run();
        CAPTURE(seed, settings.hosts);
        CHECK(minute.fullest() <= settings.limit);
    }
}

TEST_CASE("a host that comes back after a long time holds nobody up, though another is still missing") {
    SimSettings settings = quick(5);
    settings.hosts = 3;
    LeaseSimulation sim(settings);
    sim.at(1s, [&] { sim.kill(2); });
    sim.load(0, 40, 1s, 30s);
    sim.at(5s, [&] { sim.kill(1); });
    sim.at(30s, [&] { sim.revive(1, false); });
    sim.load(1, 40, 30s, 37s);
    sim.run_until(37s);
    CHECK(sim.admitted_by(1) >= 95);  // all of the limit, when what the other had used has left the window
    CHECK(fullest(sim, settings) <= settings.limit);
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
    CHECK(fullest(sim, settings) <= settings.limit);
}

TEST_CASE("a thousand hosts share a limit") {
    const SimSettings settings = usual(9, 1000, 20'000);
    LeaseSimulation sim(settings);
    const Nanos end = 150s;
    // A tenth of the hosts has nine tenths of the demand, which is 1.5 times the limit.
    for (std::size_t host = 0; host < 1000; ++host) sim.load(host, host % 10 == 0 ? 4.5 : 0.0556, 1s, end);
    sim.run_until(end);
    const double used = static_cast<double>(fullest(sim.log(), 60s)) / 20'000;
    const double beats = static_cast<double>(sim.beats()) / 149.0;
    CAPTURE(used, beats, sim.refused());
    WARN("utilisation " << used << ", beats a second " << beats << ", of a host " << beats / 1000);
    CHECK(fullest(sim, settings) <= settings.limit);
    CHECK(used >= 0.9);
    CHECK(beats <= 1000);
}

TEST_CASE("a hundred of a thousand hosts are cut off, and come back") {
    SimSettings settings = usual(10, 1000, 20'000);
    settings.window = 20s;
    settings.timing.lease = 3s;
    settings.fail_mode = GENERATE(FailMode::closed, FailMode::share);
    LeaseSimulation sim(settings);
    for (std::size_t host = 0; host < 1000; ++host) sim.load(host, 1.5, 1s, 60s);
    sim.at(25s, [&] {
        for (std::size_t host = 0; host < 100; ++host) sim.cut_off(host, true);
    });
    sim.at(40s, [&] {
        for (std::size_t host = 0; host < 100; ++host) sim.cut_off(host, false);
    });
    sim.run_until(35s);
    const auto without = weir::router::mode_without_contact(settings.fail_mode);
    for (std::size_t host = 0; host < 100; ++host) REQUIRE(sim.mode(host) == without);
    sim.run_until(60s);
    for (std::size_t host = 0; host < 1000; ++host) REQUIRE(sim.mode(host) == weir::shm::LeaseMode::shared);
    // In mode share each of them goes on with a thousandth of the limit, come what may elsewhere.
    const Units more = settings.fail_mode == FailMode::share ? 100 * settings.limit / 1000 : 0;
    const Units most = fullest(sim, settings);
    const double beats = static_cast<double>(sim.beats()) / 60;
    WARN("fullest window " << most << " of " << settings.limit << ", beats a second " << beats);
    CHECK(most <= settings.limit + more);
    CHECK(most >= settings.limit * 95 / 100);
}

TEST_CASE("a host that was down until all that it had used was gone is charged for nothing") {
    const SimSettings settings = usual(9, 2, 100);
    LeaseSimulation sim(settings);
    for (int i = 0; i < 60; ++i) sim.once(0, 5s + 10ms * i);
    const Nanos down = GENERATE(2s, 20s, 30s, 50s, 70s, 200s);
    sim.at(40s, [&] { sim.kill(0); });
    sim.at(40s + down, [&] { sim.revive(0, false); });
    sim.run_until(40s + down + 70s);
    const std::size_t before = sim.log().size();
    sim.load(1, 5, sim.now(), sim.now() + 55s);
    sim.run_until(sim.now() + 56s);
    CHECK(sim.log().size() - before == 100);
    CHECK(fullest(sim, settings) <= 100);
}

TEST_CASE("what a store that is far away cannot give to a burst it gives to the next one") {
    SimSettings settings = usual(4, 2, 1000);
    settings.late = GENERATE(25ms, 60ms);  // each way at most, where requests wait for 20 ms
    LeaseSimulation sim(settings);
    const auto burst = [&](Nanos at) {
        for (int i = 0; i < 100; ++i) sim.once(0, at + 100us * i);
        sim.run_until(at + 500ms);
    };
    burst(3s);
    const std::size_t first = sim.admitted_by(0);
    burst(4500ms);
    CHECK(sim.admitted_by(0) - first >= 95);
    burst(6s);
    burst(7500ms);
    CHECK(sim.admitted_by(0) - first >= 285);
    CHECK(fullest(sim, settings) <= 1000);
}
