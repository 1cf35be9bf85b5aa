// The life of what was admitted: settled, cancelled, dropped, handed on.
#include "shm/ticket.hpp"

#include <catch2/catch.hpp>
#include <type_traits>
#include <utility>

#include "limiter_fixture.hpp"

using namespace weir::shm;
using Fixture = weir::shm::test::LimiterFixture;

// A ticket can be handed on, and never be held twice.
static_assert(std::is_nothrow_move_constructible_v<Ticket> && std::is_nothrow_move_assignable_v<Ticket>);
static_assert(!std::is_copy_constructible_v<Ticket> && !std::is_copy_assignable_v<Ticket>);

TEST_CASE_METHOD(Fixture, "settling for less gives the rest back into its own window") {
    const Limiter a = limiter("a", 100);
    Admission big = admit({{a, 100}});
    REQUIRE(big.admitted());
    CHECK_FALSE(admit({{a, 1}}).admitted());
    big.ticket.settle(0, 30, t + std::chrono::seconds(1));
    CHECK(used(a) == 30);
    CHECK(admit({{a, 70}}).admitted());
    CHECK_FALSE(admit({{a, 1}}).admitted());
}

TEST_CASE_METHOD(
    Fixture, "settling for more charges the rest whatever the limit, and the last call counts") {
    const Limiter a = limiter("a", 10);
    Admission small = admit({{a, 5}});
    REQUIRE(small.admitted());
    small.ticket.settle(0, 25, t);
    CHECK(used(a) == 25);
    CHECK(me.usage(a, t).remaining == 0);
    small.ticket.settle(0, 8, t);
    CHECK(used(a) == 8);
    small.ticket.close();
    small.ticket.settle(0, 0, t);
    CHECK(used(a) == 8);
}

TEST_CASE_METHOD(Fixture, "cancelling gives everything back") {
    const Limiter a = limiter("a", 10);
    const Limiter b = limiter("b", 10);
    const Gauge g = segment.gauge("key", "g", 1);
    Admission both = admit({{a, 7}, {b, 3}}, {g});
    REQUIRE(both.admitted());
    both.ticket.cancel(t);
    both.ticket.close();
    CHECK(used(a) == 0);
    CHECK(used(b) == 0);
    CHECK(me.in_flight(g) == 0);
}

TEST_CASE_METHOD(Fixture, "a dropped ticket keeps its charge, frees its slots, and is counted") {
    const Limiter a = limiter("a", 10);
    const Gauge g = segment.gauge("key", "g", 2);
    {
        const Admission dropped = admit({{a, 3}}, {g});
        REQUIRE(dropped.admitted());
        CHECK(me.in_flight(g) == 1);
    }
    CHECK(used(a) == 3);
    CHECK(me.in_flight(g) == 0);
    for (const auto& counter : segment.own_counters()) {
        if (counter.name == "abandoned") CHECK(counter.value == 1);
    }
}

TEST_CASE_METHOD(Fixture, "a ticket survives being moved, and its participant being moved") {
    const Limiter a = limiter("a", 10);
    const Gauge g = segment.gauge("key", "g", 2);
    Admission admission = admit({{a, 6}}, {g});
    Ticket ticket = std::move(admission.ticket);
    CHECK_FALSE(static_cast<bool>(admission.ticket));
    Participant moved = std::move(me);
    ticket.settle(0, 2, t);
    ticket = Ticket();
    CHECK(moved.usage(a, t).used == 2);
    CHECK(moved.in_flight(g) == 0);
}

TEST_CASE_METHOD(Fixture, "no more is left than somebody else says, however often it is said") {
    const Limiter a = limiter("a", 10);
    Admission admission = admit({{a, 3}});
    CHECK(me.leave_only(a, 8, t) == 0);
    CHECK(me.leave_only(a, 7, t) == 0);
    CHECK(me.leave_only(a, 4, t) == 3);
    CHECK(me.leave_only(a, 4, t) == 0);
    admission.ticket.settle(0, 1, t);  // what was given back counts as free
    CHECK(me.leave_only(a, 4, t) == 2);
    CHECK(me.leave_only(a, ~Units{0}, t) == 0);
    CHECK(me.leave_only(a, 0, t) == 4);
    CHECK(used(a) == 10);
    CHECK(me.leave_only(Limiter{}, 0, t) == 0);
}

TEST_CASE_METHOD(Fixture, "a cost beyond what a window holds is cut, and the ticket knows") {
    const Limiter a = limiter("a", 5);
    const Units most = (Units{1} << 40) - 1;
    Admission admission = admit({{a, 3}});
    REQUIRE(admission.admitted());
    admission.ticket.settle(0, Units{1} << 50, t);
    CHECK(used(a) == most);
    CHECK(me.charge(a, 1, t) == 0);
    // No more is given back than was charged: room for others does not come from nowhere.
    admission.ticket.settle(0, 4, t);
    CHECK(used(a) == 4);
    CHECK(me.charge(a, most, t) == 0);  // what was given back stands beside what it is of until both expire
    const Nanos later = t + 2 * std::chrono::minutes(1);
    CHECK(me.charge(a, 7, later) == 7);
    CHECK(me.charge(a, ~Units{0}, later) == most - 7);
    CHECK(me.usage(a, later).used == most);
    CHECK(admit({{a, ~Units{0}}}).refusal.reason == Refused::never_fits);
}
