#include "router/redis/lease_limit.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using namespace weir::router;
using weir::shm::LeaseReading;
using weir::shm::Nanos;

namespace {

constexpr Nanos kPatience = 20ms;

LeaseReading reading(weir::shm::Units lease, weir::shm::Units used, std::uint64_t charged,
                     std::uint64_t wanted, std::uint64_t relieved) {
    return {1000, lease, used, charged, wanted, relieved};
}

}  // namespace

TEST_CASE("a limit that nobody uses has nothing to say") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(0, 0, 0, 0, 0), 10s);
    CHECK_FALSE(limit.active());
    CHECK_FALSE(limit.due(20s));
    CHECK_FALSE(limit.surplus(20s));
}

TEST_CASE("waiting requests are urgent, and are asked for exactly") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(0, 0, 0, 0, 0), 10s);
    limit.observe(reading(10, 10, 10, 7, 2), 10s + 5ms);
    CHECK(limit.urgent(10s + 5ms));
    const LeaseReport report = limit.report();
    CHECK(report.hold == 10);
    CHECK(report.need == 15);
    CHECK(report.demand >= 15);
    SECTION("granted") {
        limit.answered(report, 15, 10s + 6ms);
        CHECK(limit.barren_until() == Nanos(0));
    }
    SECTION("in vain: asking rests, longer each time") {
        limit.answered(report, 10, 10s + 6ms);
        CHECK(limit.barren_until() == 11s + 6ms);
        CHECK_FALSE(limit.urgent(11s));
        limit.observe(reading(10, 10, 10, 12, 7), 12s);
        CHECK(limit.urgent(12s));
        limit.answered(limit.report(), 10, 12s);
        CHECK(limit.barren_until() == 14s);
    }
    SECTION("those that died waiting are forgotten when nobody can be waiting any more") {
        limit.observe(reading(10, 10, 10, 7, 2), 10s + 30ms);
        CHECK_FALSE(limit.urgent(10s + 30ms));
        limit.observe(reading(10, 10, 10, 9, 2), 10s + 31ms);
        CHECK(limit.report().need == 12);
    }
}

TEST_CASE("a request that overstays hides none of those that come after it") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(0, 0, 0, 0, 0), 10s);
    limit.observe(reading(1, 1, 1, 1, 0), 10s + 1ms);
    // Its process was held up, and it gives up late; others wait one after the other, without a gap.
    limit.observe(reading(1, 1, 1, 1, 0), 10s + 30ms);
    CHECK_FALSE(limit.urgent(10s + 30ms));
    for (std::uint64_t i = 2; i < 20; ++i) {
        const Nanos now = 10s + 31ms + static_cast<int>(i) * 20ms;
        limit.observe(reading(1, 1, 1, i, i - 1), now);
        CHECK(limit.urgent(now));
        CHECK(limit.report().need == 2);
    }
}

TEST_CASE("those that died waiting are forgotten once nobody has waited for long") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(0, 0, 0, 0, 0), 10s);
    limit.observe(reading(0, 0, 0, 5, 0), 10s + 1ms);
    limit.observe(reading(0, 0, 0, 5, 0), 12s);
    // Three more come, two of which have gone by now.
    limit.observe(reading(0, 0, 0, 8, 2), 13s);
    CHECK(limit.report().need == 1);
}

TEST_CASE("what is wanted of a limit before its coordinator came is not wanted now") {
    LeaseLimit limit(60s, kPatience, false);
    limit.observe(reading(0, 0, 500, 5000, 4900), 10s);
    CHECK_FALSE(limit.urgent(10s));
    CHECK_FALSE(limit.active());
}

TEST_CASE("a steady stream is given some seconds in advance, a burst is not") {
    LeaseLimit stream(60s, kPatience, true);
    LeaseLimit burst(60s, kPatience, true);
    for (int i = 0; i <= 40; ++i) {
        const auto units = static_cast<std::uint64_t>(i);
        stream.observe(reading(50, units, units, 0, 0), 10s + i * 100ms);
        burst.observe(reading(50, i < 20 ? 0 : 40, i < 20 ? 0 : 40, 0, 0), 10s + i * 100ms);
    }
    CHECK(stream.report().ask >= 40 + 8 * 10);
    CHECK(stream.due(14s));  // ten units are left, which is a second's
    CHECK(burst.report().ask == 50);
    SECTION("having asked in vain it does not ask again at once") {
        stream.answered(stream.report(), 50, 14s);
        for (int i = 41; i <= 140; ++i) {
            const auto units = static_cast<std::uint64_t>(i);
            stream.observe(reading(50, 45, units, 0, 0), 10s + i * 100ms);
            if (i < 140) CHECK_FALSE(stream.due(10s + i * 100ms));
        }
        CHECK(stream.due(24s));
    }
    SECTION("once it has ended it is given what a trickle is, and then nothing") {
        for (int i = 41; i <= 90; ++i) stream.observe(reading(0, 40, 40, 0, 0), 10s + i * 100ms);
        CHECK(stream.report().ask == 40 + 1000 / 32);
        for (int i = 91; i <= 260; ++i) stream.observe(reading(0, 40, 40, 0, 0), 10s + i * 100ms);
        CHECK(stream.report().ask == 0);
    }
}

TEST_CASE("a slow stream is given some in advance, too, and keeps it a little longer") {
    LeaseLimit limit(60s, kPatience, true);
    for (std::uint64_t i = 0; i <= 80; ++i) {
        const std::uint64_t units = i / 15;  // one in 1.5 s
        limit.observe(reading(units + 2, units, units, 0, 0), 10s + static_cast<int>(i) * 100ms, 40);
    }
    CHECK(limit.report().ask >= 5 + 3);
    CHECK_FALSE(limit.surplus(20s));
    CHECK(limit.surplus(24s) == std::optional<weir::shm::Units>(0));
}

TEST_CASE("a trickle is given a small part of the limit in advance, the smaller the more hosts share it") {
    LeaseLimit few(60s, kPatience, true), many(60s, kPatience, true);
    for (std::uint64_t i = 0; i <= 300; ++i) {
        const std::uint64_t units = 1 + i / 60;  // one in 6 s
        const Nanos now = 10s + static_cast<int>(i) * 100ms;
        few.observe(reading(units, units, units, 0, 0), now, 4);
        many.observe(reading(units, units, units, 0, 0), now, 40);
    }
    CHECK(few.report().ask == 6 + 4);  // as much as in the last half minute
    CHECK(many.report().ask == 6);
    few.observe(reading(10, 6, 6, 0, 0), 50s, 4);
    CHECK_FALSE(few.surplus(54s));
    CHECK(few.surplus(60s) == std::optional<weir::shm::Units>(0));
}

TEST_CASE("a burst that asks again and again is given a part of what it uses in advance") {
    LeaseLimit limit(60s, kPatience, true);
    for (std::uint64_t i = 1; i <= 20; ++i) {
        const Nanos now = 10s + static_cast<int>(i) * 1ms;
        limit.observe(reading(i - 1, i - 1, i - 1, i, i - 1), now);
        REQUIRE(limit.urgent(now));
        const LeaseReport report = limit.report();
        if (i <= 8) CHECK(report.ask == i);
        if (i == 20) CHECK(report.ask == 19 + 19 / 4);
        limit.answered(report, i, now);
    }
}

TEST_CASE("of what has left the window a good part is reported soon, a small one later") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(0, 400, 400, 0, 0), 10s);
    limit.answered(limit.report(), 0, 10s);
    SECTION("a good part") {
        limit.observe(reading(0, 300, 400, 0, 0), 11s);
        CHECK(limit.due(11s));
    }
    SECTION("a small one") {
        limit.observe(reading(0, 360, 400, 0, 0), 11s);
        CHECK_FALSE(limit.due(11s));
        CHECK_FALSE(limit.due(17s));
        CHECK(limit.due(18s));
    }
}

TEST_CASE("an idle lease is given up within a second, and what has left the window is reported") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(100, 30, 30, 0, 0), 10s);
    limit.answered(limit.report(), 100, 10s);
    CHECK_FALSE(limit.surplus(10s + 900ms));
    limit.observe(reading(100, 30, 30, 0, 0), 11s);
    REQUIRE(limit.surplus(11s));
    CHECK(*limit.surplus(11s) == 0);
    limit.observe(reading(0, 30, 30, 0, 0), 11s);
    CHECK(limit.due(11s));  // 70 units can go back
    limit.answered(limit.report(), 0, 11s);
    CHECK(limit.report().need == 0);  // what is used is no reason to hold it
    CHECK(limit.report().ask == 0);
    CHECK_FALSE(limit.due(13s));
    CHECK_FALSE(limit.due(50s));
    limit.observe(reading(0, 0, 30, 0, 0), 70s);
    CHECK(limit.due(70s));
    CHECK(limit.active());
    limit.answered(limit.report(), 0, 70s);
    CHECK_FALSE(limit.active());
}

TEST_CASE("what was wanted in vain is reported until it is not wanted any more") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(0, 0, 0, 0, 0), 10s);
    limit.observe(reading(0, 0, 0, 5, 0), 10s + 1ms);
    CHECK(limit.report().demand == 5);
    limit.answered(limit.report(), 0, 10s + 2ms);
    limit.observe(reading(0, 0, 0, 5, 5), 10s + 20ms);
    CHECK(limit.active());
    limit.observe(reading(0, 0, 0, 5, 5), 60s);
    CHECK(limit.active());
    CHECK(limit.report().demand == 0);
    limit.answered(limit.report(), 0, 60s);
    CHECK_FALSE(limit.active());
}

TEST_CASE("a debt is reported") {
    LeaseLimit limit(60s, kPatience, true);
    limit.observe(reading(100, 100, 100, 0, 0), 10s);
    limit.answered(limit.report(), 100, 10s);
    limit.observe(reading(100, 150, 150, 0, 0), 11s + 500ms);
    CHECK(limit.due(11s + 500ms));
    CHECK(limit.report().used == 150);
}
