#include "router/turn.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <random>

using namespace weir::router;

namespace {

std::uint64_t total(const Crowd& crowd, int draws, std::mt19937_64& random) {
    std::uint64_t sum = 0;
    for (int i = 0; i < draws; ++i) sum += turns(crowd, RandomSource(random));
    return sum;
}

}  // namespace

TEST_CASE("bands are a quarter of the priorities each") {
    CHECK(band_of(0) == 0);
    CHECK(band_of(63) == 0);
    CHECK(band_of(64) == 1);
    CHECK(band_of(128) == 2);
    CHECK(band_of(255) == kBands - 1);
}

TEST_CASE("who waits alone takes all the room") {
    std::mt19937_64 random(1);
    CHECK(turns({200, 3, 3, 0, 0}, RandomSource(random)) == 200);
    CHECK(turns({200, 3, 2, 0, 0}, RandomSource(random)) == 200);  // counted a moment apart
}

TEST_CASE("a process takes its part of the room: the whole of it surely, the fraction by lot") {
    std::mt19937_64 random(2);
    CHECK(turns({200, 30, 60, 0, 0}, RandomSource(random)) == 100);
    const std::uint64_t mine = total({1, 1, 10, 0, 0}, 100'000, random);
    CHECK(mine > 9'500);
    CHECK(mine < 10'500);
    const std::uint64_t thirds = total({10, 1, 3, 0, 0}, 30'000, random);
    CHECK(thirds > 99'000);
    CHECK(thirds < 101'000);
}

TEST_CASE("room for more urgent ones elsewhere is left") {
    std::mt19937_64 random(3);
    CHECK(turns({10, 5, 5, 4, 0}, RandomSource(random)) == 6);
    CHECK(turns({4, 5, 5, 4, 0}, RandomSource(random)) == 0);
    CHECK(turns({4, 5, 5, 9, 0}, RandomSource(random)) == 0);
}

TEST_CASE("but not for ever: they may be stuck") {
    std::mt19937_64 random(4);
    CHECK(turns({4, 5, 5, 9, kStandBackMax - 1}, RandomSource(random)) == 0);
    CHECK(turns({4, 5, 5, 9, kStandBackMax}, RandomSource(random)) == 4);
    CHECK(turns({1, 1, 1000, 0, kStandBackMax}, RandomSource(random)) == 1);
    CHECK(turns({0, 5, 5, 9, kStandBackMax}, RandomSource(random)) == 0);
}

TEST_CASE("the parts are the same in whatever order processes take them") {
    std::mt19937_64 random(5);
    const std::array<std::uint64_t, 3> waiting{900, 60, 40};
    std::array<std::size_t, 3> order{0, 1, 2};
    std::array<std::uint64_t, 3> took{};
    for (int round = 0; round < 10'000; ++round) {
        std::shuffle(order.begin(), order.end(), random);
        std::uint64_t room = 15;
        std::uint64_t claims = 1000;
        for (const std::size_t i : order) {
            const std::uint64_t part = turns({room, waiting[i], claims, 0, 0}, RandomSource(random));
            REQUIRE(part <= room);
            took[i] += part;
            room -= part;
            claims -= waiting[i];  // withdrawn
        }
        CHECK(room == 0);
    }
    CHECK(took[0] == Approx(135'000).epsilon(0.02));
    CHECK(took[1] == Approx(9'000).epsilon(0.1));
    CHECK(took[2] == Approx(6'000).epsilon(0.1));
}

TEST_CASE("standing back takes 10 to 20 ms") {
    std::mt19937_64 random(6);
    for (int i = 0; i < 1000; ++i) {
        const auto time = stand_back_time(RandomSource(random));
        REQUIRE(time >= std::chrono::milliseconds(10));
        REQUIRE(time < std::chrono::milliseconds(20));
    }
}
