#include "proxy/supervisor.hpp"

#include <catch2/catch.hpp>

using weir::proxy::restart_pause;
using namespace std::chrono_literals;

TEST_CASE("who dies young is restarted more and more slowly, up to five seconds") {
    std::chrono::milliseconds pause{0};
    for (const auto expected : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
        pause = restart_pause(pause, 20ms, false);
        CHECK(pause == expected);
    }
}

TEST_CASE("who has lived for a while, or ends as planned, is replaced at once") {
    CHECK(restart_pause(800ms, 5000ms, false) == 0ms);
    CHECK(restart_pause(800ms, 4999ms, false) == 1600ms);
    CHECK(restart_pause(800ms, 20ms, true) == 0ms);
}
