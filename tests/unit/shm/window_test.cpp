#include "shm/window.hpp"

#include <catch2/catch.hpp>

#include "shm/word.hpp"

using namespace weir::shm;

namespace {

/// One limiter over the product's own words, and one caller.
struct Fixture {
    using State = WindowState<Word, StandardGeometry>;
    using W = Window<State>;
    static constexpr std::uint64_t kStart = 1024;
    static constexpr std::uint64_t kTicks = StandardGeometry::kTicks;

    State state;
    Contention contention;

    Fixture() { W::reset(state, kStart, 10); }

    void limit(std::uint64_t units) {
        state.limit.store(units, std::memory_order_relaxed);  // ORDER(counter): one thread
    }
    Verdict admit(std::uint64_t tick, std::uint64_t units) {
        return W::admit(state, tick, units, contention).verdict;
    }
    std::uint64_t used(std::uint64_t tick) { return W::look(state, tick).used; }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a window of ticks counts its own tick and the 62 before it") {
    CHECK(admit(kStart, 10) == Verdict::admitted);
    CHECK(admit(kStart, 1) == Verdict::over_limit);
    CHECK(admit(kStart + kTicks, 1) == Verdict::over_limit);
    CHECK(used(kStart + kTicks) == 10);
    CHECK(admit(kStart + kTicks + 1, 10) == Verdict::admitted);
    CHECK(contention.retries == 0);
}

TEST_CASE_METHOD(Fixture, "a refusal writes nothing into its own tick") {
    REQUIRE(admit(kStart, 10) == Verdict::admitted);
    const State& before = state;
    const auto head = before.head.load(std::memory_order_relaxed);  // ORDER(counter): one thread
    CHECK(admit(kStart, 1) == Verdict::over_limit);
    CHECK(admit(kStart, 11) == Verdict::never_fits);
    CHECK(before.head.load(std::memory_order_relaxed) == head);  // ORDER(counter)
}

TEST_CASE_METHOD(Fixture, "a clock behind the head is served at the head's tick") {
    REQUIRE(admit(kStart + 5, 3) == Verdict::admitted);
    CHECK(W::admit(state, kStart + 2, 3, contention).tick == kStart + 5);
    CHECK(W::look(state, kStart).tick == kStart + 5);
}

TEST_CASE_METHOD(Fixture, "what is given back leaves with its own tick") {
    REQUIRE(admit(kStart, 6) == Verdict::admitted);
    REQUIRE(admit(kStart + 1, 4) == Verdict::admitted);
    W::give_back(state, kStart, 5);
    CHECK(used(kStart + 1) == 5);
    CHECK(admit(kStart + 1, 5) == Verdict::admitted);
    CHECK(used(kStart + kTicks + 1) == 9);
    CHECK(used(kStart + kTicks + 2) == 0);
}

TEST_CASE_METHOD(Fixture, "what is given back after its window has passed changes nothing") {
    REQUIRE(admit(kStart, 10) == Verdict::admitted);
    REQUIRE(admit(kStart + kTicks + 1, 10) == Verdict::admitted);
    W::give_back(state, kStart, 10);
    CHECK(used(kStart + kTicks + 1) == 10);
    // Neither does it when the tag of the tick has come again.
    const std::uint64_t again = kStart + StandardGeometry::kTagMask + 1;
    REQUIRE(admit(again, 10) == Verdict::admitted);
    W::give_back(state, kStart, 10);
    CHECK(used(again) == 10);
}

TEST_CASE_METHOD(Fixture, "earliest and empty_at name the very tick") {
    REQUIRE(admit(kStart, 4) == Verdict::admitted);
    REQUIRE(admit(kStart + 7, 6) == Verdict::admitted);
    CHECK(W::earliest(state, kStart + 7, 4) == kStart + kTicks + 1);
    CHECK(W::earliest(state, kStart + 7, 5) == kStart + 7 + kTicks + 1);
    CHECK(W::empty_at(state, kStart + 7) == kStart + 7 + kTicks + 1);
    CHECK(W::earliest(state, kStart + 7, 11) == 0);
    W::give_back(state, kStart + 7, 6);
    CHECK(W::earliest(state, kStart + 7, 6) == kStart + 7);
    CHECK(W::empty_at(state, kStart + 7) == kStart + kTicks + 1);
}

TEST_CASE_METHOD(Fixture, "an idle time of any length leaves an empty window that works") {
    std::uint64_t tick = kStart;
    const std::uint64_t tags = StandardGeometry::kTagMask + 1;
    for (const std::uint64_t idle : {63ul, 64ul, 65ul, tags - 64, tags - 1, tags, tags + 1, 5 * tags + 30}) {
        INFO("idle for " << idle << " ticks");
        REQUIRE(admit(tick, 10) == Verdict::admitted);
        tick += idle;
        CHECK(used(tick) == 0);
        CHECK(admit(tick, 4) == Verdict::admitted);
        CHECK(admit(tick + 1, 6) == Verdict::admitted);
        CHECK(admit(tick + 1, 1) == Verdict::over_limit);
        tick += kTicks + 2;
    }
}

TEST_CASE_METHOD(Fixture, "units that come and go do not run round within a window") {
    const std::uint64_t most = W::kUnitsMax;
    limit(most);
    REQUIRE(admit(kStart, most) == Verdict::admitted);
    W::give_back(state, kStart, most);
    REQUIRE(admit(kStart, most) == Verdict::admitted);
    // There is room for one unit more, but 2^40 of them have come by in this window.
    W::give_back(state, kStart, most - 1);
    CHECK(admit(kStart, 1) == Verdict::admitted);
    CHECK(admit(kStart, 1) == Verdict::over_limit);
    CHECK(used(kStart) == 2);
    CHECK(W::earliest(state, kStart, 1) == kStart + kTicks + 1);
    CHECK(admit(kStart + kTicks + 1, most) == Verdict::admitted);
}

TEST_CASE_METHOD(Fixture, "a debt holds others back, and the largest is cut at what can be told") {
    W::charge(state, kStart, 25, contention);
    CHECK(used(kStart) == 25);
    CHECK(admit(kStart, 1) == Verdict::over_limit);
    W::charge(state, kStart, ~std::uint64_t{0}, contention);
    CHECK(used(kStart) == StandardGeometry::kUnitMask);
    CHECK(used(kStart + kTicks + 1) == 0);
}

TEST_CASE_METHOD(Fixture, "an offer is void once the head has changed") {
    const W::Offer offer = W::offer(state, kStart, 6);
    REQUIRE(offer.verdict == Verdict::admitted);
    REQUIRE(admit(kStart, 6) == Verdict::admitted);
    CHECK_FALSE(W::take(state, offer, 6));
    CHECK(used(kStart) == 6);
}

TEST_CASE_METHOD(Fixture, "an edge that no run could have left is refused, and the ring mends itself") {
    state.edge[(kStart + 1) % StandardGeometry::kRing].store(0, std::memory_order_relaxed);  // ORDER(counter)
    state.edge[(kStart + 2) % StandardGeometry::kRing].store(0, std::memory_order_relaxed);  // ORDER(counter)
    CHECK(admit(kStart, 1) == Verdict::corrupt);
    CHECK(admit(kStart + kTicks + 1, 10) == Verdict::admitted);
}
