#include "router/failure_log.hpp"

#include <catch2/catch.hpp>

#include <string>

using weir::router::FailureLog;
using namespace std::chrono_literals;

TEST_CASE("the same failure is logged once in a while, with how often it came") {
    FailureLog log;
    CHECK(log.note("a is down", 100s) == "a is down");
    CHECK_FALSE(log.note("a is down", 101s));
    CHECK(log.note("b is down", 101s) == "b is down");
    CHECK_FALSE(log.note("a is down", 109s));
    CHECK(log.note("a is down", 110s) == "a is down (and 2 times before)");
    CHECK(log.note("a is down", 130s) == "a is down");
}

TEST_CASE("no more texts are remembered than a few") {
    FailureLog log;
    CHECK(log.note("first", 0s));
    for (std::size_t i = 1; i < FailureLog::kTextsMax; ++i) CHECK(log.note(std::to_string(i), 1s));
    CHECK_FALSE(log.note("first", 2s));
    CHECK(log.note("one more", 2s));
    CHECK(log.note("first", 3s));
}
