// The limiter's promise rests on these properties (tick_scale.hpp), for every window that a Segment takes.
#include "shm/tick_scale.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <random>

using namespace weir::shm;

namespace {

constexpr std::uint32_t kTicks = 64;
constexpr Nanos kWindowMin = std::chrono::milliseconds(10);
constexpr Nanos kWindowMax = std::chrono::hours(24 * 366);
/// A host that has been up for ten years.
constexpr Nanos kUptimeMax = std::chrono::hours(24 * 3653);

struct Chance {
    std::mt19937_64 engine{20'260'101};
    /// Evenly over the magnitudes from `least` to `most`.
    Nanos magnitude(Nanos least, Nanos most) {
        const double low = std::log2(static_cast<double>(least.count()));
        const double high = std::log2(static_cast<double>(most.count()));
        const double at = std::uniform_real_distribution<double>(low, high)(engine);
        return std::clamp(Nanos(static_cast<std::int64_t>(std::exp2(at))), least, most);
    }
};

}  // namespace

TEST_CASE("a tick begins where tick_at begins to name it") {
    Chance chance;
    for (int i = 0; i < 20'000; ++i) {
        const TickScale scale(chance.magnitude(kWindowMin, kWindowMax), kTicks);
        const std::uint64_t tick = scale.tick_at(chance.magnitude(Nanos(1), kUptimeMax));
        if (tick == TickScale::kFirstTick) continue;
        CHECK(scale.tick_at(scale.start_of(tick)) == tick);
        CHECK(scale.tick_at(scale.start_of(tick) - Nanos(1)) == tick - 1);
    }
}

TEST_CASE("more ticks apart than a window has is at least a window apart") {
    Chance chance;
    for (int i = 0; i < 20'000; ++i) {
        const Nanos window = chance.magnitude(kWindowMin, kWindowMax);
        const TickScale scale(window, kTicks);
        const std::uint64_t tick = scale.tick_at(chance.magnitude(Nanos(1), kUptimeMax));
        // The last moment of `tick` and the first of the tick that no longer counts it.
        const Nanos last = scale.start_of(tick + 1) - Nanos(1);
        const Nanos first = scale.start_of(tick + kTicks + 1);
        CHECK(first - last >= window);
        CHECK(first - last <= window + window / kTicks + Nanos(2) + window / 1'000'000'000);
    }
}

TEST_CASE("time never runs backwards in ticks") {
    const TickScale scale(std::chrono::seconds(60), kTicks);
    std::uint64_t before = scale.tick_at(Nanos(0));
    CHECK(before == TickScale::kFirstTick);
    for (Nanos t{0}; t < std::chrono::minutes(3); t += std::chrono::milliseconds(7)) {
        const std::uint64_t tick = scale.tick_at(t);
        CHECK((tick == before || tick == before + 1));
        before = tick;
    }
}

TEST_CASE("a scale made from its reciprocal is the same, and one made from garbage does not divide by zero") {
    const TickScale scale(std::chrono::hours(24), kTicks);
    const TickScale again = TickScale::from_reciprocal(scale.reciprocal());
    CHECK(again.tick_at(kUptimeMax) == scale.tick_at(kUptimeMax));
    const TickScale garbage = TickScale::from_reciprocal(0);
    CHECK(garbage.tick_at(kUptimeMax) == TickScale::kFirstTick);
    (void)garbage.start_of(TickScale::kFirstTick + 1);
}
