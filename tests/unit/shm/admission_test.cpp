// One demand over many limits, and what a participant can be asked.
#include "shm/admission.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "limiter_fixture.hpp"

using namespace weir::shm;
using Fixture = weir::shm::test::LimiterFixture;
using weir::shm::test::ScratchName;

namespace {

constexpr Nanos kSecond = std::chrono::seconds(1);

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

TEST_CASE_METHOD(Fixture, "a look says the same, but for the reset") {
    const Limiter a = limiter("a", 10);
    REQUIRE(admit({{a, 3}}).admitted());
    const LimiterUsage usage = me.usage(a, t);
    const LimiterUsage look = me.look(a, t);
    CHECK(look.limit == usage.limit);
    CHECK(look.used == 3);
    CHECK(look.remaining == 7);
    CHECK(usage.resets_in > Nanos(0));
    CHECK(look.resets_in == Nanos(0));
    CHECK(me.look(Limiter{}, t).limit == 0);
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
