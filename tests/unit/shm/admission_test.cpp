// One demand over many limits, the life of its ticket, and what a participant can be asked.
#include "shm/admission.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "scratch_segment.hpp"
#include "shm/segment.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

constexpr Nanos kSecond = std::chrono::seconds(1);

// A ticket can be handed on, and never be held twice.
static_assert(std::is_nothrow_move_constructible_v<Ticket> && std::is_nothrow_move_assignable_v<Ticket>);
static_assert(!std::is_copy_constructible_v<Ticket> && !std::is_copy_assignable_v<Ticket>);

struct Fixture {
    ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("test");
    Nanos t = now();

    Limiter limiter(const char* name, Units limit) { return segment.limiter({"key", name}, limit); }
    Admission admit(std::vector<Charge> charges, std::vector<Gauge> holds = {}) {
        return me.admit({charges, holds}, t);
    }
    Units used(Limiter limiter) { return me.usage(limiter, t).used; }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a limit admits exactly its units and refuses the next") {
    const Limiter a = limiter("a", 5);
    for (int i = 0; i < 5; ++i) CHECK(admit({{a, 1}}).admitted());
    const Admission sixth = admit({{a, 1}});
    CHECK_FALSE(sixth.admitted());
    CHECK(sixth.refusal.reason == Refused::over_limit);
    CHECK(used(a) == 5);
}

TEST_CASE_METHOD(Fixture, "the first scope that refuses is named and nothing is charged") {
    const Limiter a = limiter("a", 5);
    const Limiter b = limiter("b", 1);
    const Limiter c = limiter("c", 5);
    REQUIRE(admit({{a, 1}, {b, 1}, {c, 1}}).admitted());
    const Admission second = admit({{a, 1}, {b, 1}, {c, 1}});
    CHECK_FALSE(second.admitted());
    CHECK(second.refusal.index == 1);
    CHECK_FALSE(second.refusal.in_holds);
    CHECK(used(a) == 1);
    CHECK(used(c) == 1);
}

TEST_CASE_METHOD(Fixture, "more than the limit never fits, at any time") {
    const Limiter a = limiter("a", 5);
    const Charge six{a, 6};
    CHECK(me.admit({{&six, 1}, {}}, t).refusal.reason == Refused::never_fits);
    CHECK_FALSE(me.earliest({{&six, 1}, {}}, t));
}

TEST_CASE_METHOD(Fixture, "no units always pass") {
    const Limiter a = limiter("a", 1);
    REQUIRE(admit({{a, 1}}).admitted());
    CHECK(admit({{a, 0}}).admitted());
}

TEST_CASE_METHOD(Fixture, "the same limiter twice in a demand asks for the sum") {
    const Limiter a = limiter("a", 3);
    const std::array<Charge, 2> both{{{a, 2}, {a, 2}}};
    CHECK_FALSE(me.would_admit({both, {}}, t));
    CHECK_FALSE(me.admit({both, {}}, t).admitted());
    CHECK(used(a) == 0);
}

TEST_CASE_METHOD(Fixture, "as many scopes as one decision spans pass together, and one more is refused") {
    std::vector<Charge> charges;
    for (std::size_t i = 0; i < kScopesMax; ++i) {
        charges.push_back({limiter(std::string(1, static_cast<char>('a' + i)).c_str(), 10), 2});
    }
    CHECK(admit(charges).admitted());
    for (const Charge& charge : charges) CHECK(used(charge.limiter) == 2);
    charges.push_back({limiter("one more", 10), 1});
    CHECK_FALSE(admit(charges).admitted());
    CHECK(used(charges.front().limiter) == 2);
}

TEST_CASE_METHOD(Fixture, "earliest is exact to the nanosecond") {
    const Limiter a = limiter("a", 4);
    const Charge three{a, 3};
    REQUIRE(me.admit({{&three, 1}, {}}, t).admitted());
    const Demand demand{{&three, 1}, {}};
    const auto when = me.earliest(demand, t);
    REQUIRE(when);
    CHECK(*when > t + 60 * kSecond - kSecond);
    CHECK(*when <= t + 62 * kSecond);
    CHECK_FALSE(me.would_admit(demand, *when - Nanos(1)));
    CHECK(me.would_admit(demand, *when));
    CHECK_FALSE(me.admit(demand, *when - Nanos(1)).admitted());
    CHECK(me.admit(demand, *when).admitted());
}

TEST_CASE("scopes before one that is ahead of the clock count as late as it does") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Limiter a = segment.limiter({"key", "a", Unit::requests, std::chrono::seconds(60)}, 5);
    const Limiter b = segment.limiter({"key", "b", Unit::requests, std::chrono::seconds(60)}, 5);
    const Nanos t = now();
    const Charge ahead[] = {{b, 1}};
    REQUIRE(me.admit({ahead, {}}, t + std::chrono::seconds(10)).admitted());
    const Charge both[] = {{a, 1}, {b, 1}};
    const Admission admission = me.admit({both, {}}, t);
    REQUIRE(admission.admitted());
    const Nanos counted = admission.ticket.admitted_at();
    CHECK(counted > t + std::chrono::seconds(8));
    // In no window that holds the time of the decision has `a` forgotten it.
    CHECK(me.usage(a, counted + std::chrono::seconds(60) - Nanos(1)).used == 1);
    CHECK(me.usage(b, counted + std::chrono::seconds(60) - Nanos(1)).used == 2);
}

TEST_CASE_METHOD(Fixture, "settling for less gives the rest back into its own window") {
    const Limiter a = limiter("a", 100);
    Admission big = admit({{a, 100}});
    REQUIRE(big.admitted());
    CHECK_FALSE(admit({{a, 1}}).admitted());
    big.ticket.settle(0, 30, t + kSecond);
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

TEST_CASE_METHOD(Fixture, "a full gauge refuses and charges no window") {
    const Limiter a = limiter("a", 10);
    const Gauge g = segment.gauge("key", "g", 1);
    const Gauge free = segment.gauge("key", "free", 0);
    Admission first = admit({{a, 1}}, {free, g});
    REQUIRE(first.admitted());
    const Admission second = admit({{a, 1}}, {free, g});
    CHECK(second.refusal.reason == Refused::in_flight);
    CHECK(second.refusal.in_holds);
    CHECK(second.refusal.index == 1);
    CHECK(used(a) == 1);
    CHECK(me.in_flight(free) == 1);
    first.ticket.close();
    CHECK(admit({{a, 1}}, {free, g}).admitted());
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

TEST_CASE_METHOD(Fixture, "a limit can be changed without losing what is used") {
    const Limiter a = limiter("a", 10);
    REQUIRE(admit({{a, 8}}).admitted());
    segment.set_limit(a, 5);
    CHECK(used(a) == 8);
    CHECK_FALSE(admit({{a, 1}}).admitted());
    segment.set_limit(a, 9);
    CHECK(admit({{a, 1}}).admitted());
    segment.set_limit(a, 0);
    CHECK(me.usage(a, t).limit == 9);
}

TEST_CASE_METHOD(Fixture, "windows of one name and several lengths and units stand side by side") {
    const Limiter second = segment.limiter({"key", "a", Unit::requests, kSecond}, 5);
    const Limiter minute = segment.limiter({"key", "a", Unit::requests, 60 * kSecond}, 10);
    const Limiter day = segment.limiter({"key", "a", Unit::requests, 86400 * kSecond}, 15);
    const Limiter tokens = segment.limiter({"key", "a", Unit::tokens, 60 * kSecond}, 1000);
    for (int i = 0; i < 10; ++i) {
        if (i == 5) {
            CHECK(admit({{minute, 1}, {day, 1}, {tokens, 10}, {second, 1}}).refusal.index == 3);
            t += 2 * kSecond;
        }
        CHECK(admit({{minute, 1}, {day, 1}, {tokens, 10}, {second, 1}}).admitted());
    }
    CHECK(used(tokens) == 100);
    CHECK_FALSE(admit({{minute, 1}, {day, 1}}).admitted());
    t += 62 * kSecond;
    for (int i = 0; i < 5; ++i) CHECK(admit({{minute, 1}, {day, 1}}).admitted());
    CHECK(admit({{minute, 1}, {day, 1}}).refusal.index == 1);
    t += 2 * 86400 * kSecond;
    CHECK(admit({{minute, 1}, {day, 1}}).admitted());
    CHECK(used(day) == 1);
}

TEST_CASE_METHOD(Fixture, "a charge from outside holds later requests back") {
    const Limiter a = limiter("a", 10);
    me.charge(a, 9, t);
    CHECK(admit({{a, 1}}).admitted());
    CHECK_FALSE(admit({{a, 1}}).admitted());
}

TEST_CASE_METHOD(Fixture, "a cost beyond what a window can hold is charged as far as it goes, and the ticket knows") {
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

TEST_CASE_METHOD(Fixture, "a handle that names nothing is refused") {
    CHECK(admit({{Limiter{}, 1}}).refusal.reason == Refused::evicted);
    CHECK(admit({}, {Gauge{}}).refusal.reason == Refused::evicted);
    Participant nobody;
    CHECK_FALSE(nobody.admit({}, t).admitted());
    CHECK(nobody.reap(t) == 0);
}

TEST_CASE("arguments out of range are named") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    CHECK_THROWS_WITH(segment.limiter({"", "a"}, 1), Catch::Contains("scope"));
    CHECK_THROWS_WITH(segment.limiter({"a:b", "a"}, 1), Catch::Contains("scope"));
    CHECK_THROWS_WITH(segment.limiter({std::string(32, 'x'), "a"}, 1), Catch::Contains("scope"));
    CHECK_THROWS_WITH(segment.limiter({"key", "a"}, 0), Catch::Contains("limit"));
    CHECK_THROWS_WITH(segment.limiter({"key", "a"}, Units{1} << 39), Catch::Contains("limit"));
    CHECK_THROWS_WITH(segment.limiter({"key", "a", Unit::requests, Nanos(1)}, 1),
                      Catch::Contains("window"));
    CHECK_THROWS_WITH(segment.counter(""), Catch::Contains("name"));
}
