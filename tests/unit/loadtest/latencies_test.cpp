#include "loadtest/latencies.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace weir::loadtest;
using namespace std::chrono_literals;

TEST_CASE("no answers have no latency") {
    const Latencies none;
    CHECK(none.count() == 0);
    CHECK(none.percentile(0.5) == 0ns);
    CHECK(none.max() == 0ns);
}

TEST_CASE("one answer is every percentile") {
    Latencies one;
    one.add(1234us);
    for (const double share : {0.0, 0.5, 0.99, 1.0}) CHECK(one.percentile(share) == 1234us);
    CHECK(one.max() == 1234us);
}

TEST_CASE("a percentile is never too small, and at most a sixteenth too large") {
    Latencies many;
    for (int i = 1; i <= 10'000; ++i) many.add(i * 37us);
    for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const auto exact = std::chrono::duration<double>(37us) * (share * 10'000);
        const auto told = std::chrono::duration<double>(many.percentile(share));
        INFO(share);
        CHECK(told.count() >= exact.count() * 0.9999);
        CHECK(told.count() <= exact.count() * (1 + 1.0 / 16) + 1e-6);
    }
    CHECK(many.percentile(1) == many.max());
}

TEST_CASE("percentiles are exact for whole microseconds below 32") {
    for (int us = 1; us < 32; ++us) {
        Latencies one;
        one.add(us * 1us);
        one.add(10s);
        CHECK(one.percentile(0.5) == us * 1us);
    }
}

TEST_CASE("histograms add up") {
    Latencies fast;
    Latencies slow;
    for (int i = 0; i < 90; ++i) fast.add(1ms);
    for (int i = 0; i < 10; ++i) slow.add(1s);
    fast.add(slow);
    CHECK(fast.count() == 100);
    CHECK(fast.percentile(0.9) < 2ms);
    CHECK(fast.percentile(0.91) == 1s);
    CHECK(fast.max() == 1s);
}

TEST_CASE("what is out of range counts at its end") {
    Latencies odd;
    odd.add(-5ns);
    odd.add(3h);
    CHECK(odd.count() == 2);
    CHECK(odd.percentile(0.5) <= 1us);
    CHECK(odd.max() == 3h);
}
