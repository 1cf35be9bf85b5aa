#include "fake_server/fixed_window.hpp"

#include <catch2/catch.hpp>

using weir::fake_server::FixedWindow;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

FixedWindow window_of(std::uint64_t requests_max) {
    return FixedWindow({.requests_max = requests_max, .window_ns = 60 * kSecond});
}

}  // namespace

TEST_CASE("The window begins with the first request, not with a full minute") {
    FixedWindow window = window_of(2);
    const std::int64_t first = 47 * kSecond;
    CHECK(window.admit("a", first).admitted);
    CHECK(window.admit("a", first + 30 * kSecond).admitted);
    CHECK_FALSE(window.admit("a", first + 59 * kSecond).admitted);
    CHECK_FALSE(window.admit("a", first + 60 * kSecond - 1).admitted);
    CHECK(window.admit("a", first + 60 * kSecond).admitted);
}

TEST_CASE("The next window begins with the next request, not where the last one ended") {
    FixedWindow window = window_of(1);
    CHECK(window.admit("a", 0).admitted);
    CHECK(window.admit("a", 100 * kSecond).admitted);
    CHECK_FALSE(window.admit("a", 120 * kSecond).admitted);
    CHECK(window.admit("a", 160 * kSecond).admitted);
}

TEST_CASE("Refused requests neither count nor prolong the window") {
    FixedWindow window = window_of(1);
    CHECK(window.admit("a", 0).admitted);
    for (int i = 1; i < 60; ++i) CHECK_FALSE(window.admit("a", i * kSecond).admitted);
    CHECK(window.admit("a", 60 * kSecond).admitted);
}

TEST_CASE("Each address has a window of its own") {
    FixedWindow window = window_of(1);
    CHECK(window.admit("a", 0).admitted);
    CHECK(window.admit("b", 0).admitted);
    CHECK_FALSE(window.admit("a", 1).admitted);
}

TEST_CASE("The verdict tells what is left and when the window ends") {
    FixedWindow window = window_of(2);
    const auto first = window.admit("a", 5);
    CHECK(first.remaining == 1);
    CHECK(first.reset_ns == 60 * kSecond);
    const auto second = window.admit("a", 5 + kSecond);
    CHECK(second.remaining == 0);
    CHECK(second.reset_ns == 59 * kSecond);
}

TEST_CASE("No limit admits everything") {
    FixedWindow window = window_of(0);
    for (int i = 0; i < 1000; ++i) REQUIRE(window.admit("a", 0).admitted);
}

TEST_CASE("Addresses are bounded, and the ones whose window is over make room") {
    FixedWindow window({.requests_max = 1, .window_ns = kSecond, .addresses_max = 2});
    CHECK(window.admit("a", 0).admitted);
    CHECK(window.admit("b", 0).admitted);
    CHECK_FALSE(window.admit("c", 1).admitted);
    CHECK(window.admit("c", kSecond).admitted);
}

TEST_CASE("clear forgets as a restart would") {
    FixedWindow window = window_of(1);
    CHECK(window.admit("a", 0).admitted);
    window.clear();
    CHECK(window.admit("a", 1).admitted);
}
