// What limits say to a demand without charging it.
#include "shm/outlook.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "limiter_fixture.hpp"

using namespace weir::shm;
using Fixture = weir::shm::test::LimiterFixture;

TEST_CASE_METHOD(Fixture, "earliest is exact to the nanosecond") {
    const Limiter a = limiter("a", 4);
    const Charge three{a, 3};
    REQUIRE(me.admit({{&three, 1}, {}}, t).admitted());
    const Demand demand{{&three, 1}, {}};
    const auto when = me.earliest(demand, t);
    REQUIRE(when);
    CHECK(*when > t + std::chrono::seconds(59));
    CHECK(*when <= t + std::chrono::seconds(62));
    CHECK_FALSE(me.would_admit(demand, *when - Nanos(1)));
    CHECK(me.would_admit(demand, *when));
    CHECK_FALSE(me.admit(demand, *when - Nanos(1)).admitted());
    CHECK(me.admit(demand, *when).admitted());
}

TEST_CASE_METHOD(Fixture, "the sum of a demand's charges on one limiter does not run round") {
    const Limiter a = limiter("a", 3);
    const std::array<Charge, 2> both{{{a, ~Units{0}}, {a, 2}}};
    CHECK_FALSE(me.would_admit({both, {}}, t));
    CHECK_FALSE(me.earliest({both, {}}, t));
    CHECK_FALSE(me.admit({both, {}}, t).admitted());
}

TEST_CASE_METHOD(Fixture, "what is used resets when the last of it has left the window") {
    const Limiter a = limiter("a", 10);
    CHECK(me.usage(a, t).resets_in == Nanos(0));
    REQUIRE(admit({{a, 1}}).admitted());
    const Nanos resets = me.usage(a, t).resets_in;
    CHECK(me.usage(a, t + resets - Nanos(1)).used == 1);
    CHECK(me.usage(a, t + resets).used == 0);
}
