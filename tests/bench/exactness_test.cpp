// The judge of admissions must itself be exact.
#include "tests/bench/exactness.hpp"

#include <catch2/catch.hpp>

namespace weir::bench {
namespace {

constexpr shm::Nanos kWindow{100};

}  // namespace

TEST_CASE("a window holds what is less than its length apart") {
    CHECK(judge({{1000, 3}, {1099, 4}}, 6, kWindow).worst == 7);
    CHECK(judge({{1000, 3}, {1099, 4}}, 6, kWindow).overshoot == 1);
    CHECK(judge({{1000, 3}, {1100, 4}}, 6, kWindow).worst == 4);
    CHECK(judge({{1000, 3}, {1100, 4}}, 6, kWindow).overshoot == 0);
}

TEST_CASE("the log need not be in order") {
    CHECK(judge({{1099, 4}, {1000, 3}, {1050, 2}}, 9, kWindow).worst == 9);
}

TEST_CASE("what is sustained is measured up to the moment before capacity comes back") {
    // Ten units every 125 ns, where ten every 100 ns are allowed.
    std::vector<Admitted> log;
    for (std::uint64_t burst = 0; burst < 9; ++burst) log.push_back({1000 + burst * 125, 10});
    const Exactness result = judge(log, 10, kWindow);
    CHECK(result.units == 90);
    CHECK(result.sustained == Approx(0.8));
    CHECK(result.overshoot == 0);
}

TEST_CASE("a slow second half shows") {
    std::vector<Admitted> log;
    for (std::uint64_t burst = 0; burst < 5; ++burst) log.push_back({1000 + burst * 100, 10});
    log.push_back({2400, 10});
    CHECK(judge(log, 10, kWindow).sustained == Approx(50.0 / 140));
}

TEST_CASE("nothing admitted is nothing sustained") {
    CHECK(judge({}, 10, kWindow).sustained == 0);
    CHECK(judge({{5, 1}}, 10, kWindow).sustained == 0);
}

}  // namespace weir::bench
