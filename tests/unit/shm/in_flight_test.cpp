#include "shm/in_flight.hpp"

#include <catch2/catch.hpp>

#include "shm/word.hpp"

using namespace weir::shm;

namespace {

using Gauge = InFlight<Word>;

struct Fixture {
    Word total;
    Word cells[3];
    std::uint64_t retries = 0;

    Gauge::View view() { return {total, cells, 3}; }
    Hold take(std::uint32_t slot, std::uint64_t max) { return Gauge::take(view(), slot, max, retries); }
    void drop(std::uint32_t slot) { Gauge::drop(view(), slot, retries); }
    std::uint64_t share(std::uint32_t slot) { return Gauge::share(view(), slot); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a gauge is full at its maximum, and counts whose slots they are") {
    CHECK(take(0, 3) == Hold::taken);
    CHECK(take(1, 3) == Hold::taken);
    CHECK(take(1, 3) == Hold::taken);
    CHECK(take(2, 3) == Hold::full);
    CHECK(Gauge::count(total) == 3);
    CHECK(share(0) == 1);
    CHECK(share(1) == 2);
    CHECK(share(2) == 0);
}

TEST_CASE_METHOD(Fixture, "no maximum only counts") {
    for (int i = 0; i < 5; ++i) CHECK(take(0, 0) == Hold::taken);
    CHECK(Gauge::count(total) == 5);
}

TEST_CASE_METHOD(Fixture, "what is dropped can be taken again, and no more than was taken is dropped") {
    REQUIRE(take(0, 1) == Hold::taken);
    drop(0);
    drop(0);
    drop(1);
    CHECK(Gauge::count(total) == 0);
    CHECK(take(1, 1) == Hold::taken);
    drop(0);
    CHECK(Gauge::count(total) == 1);
    CHECK(share(1) == 1);
}

TEST_CASE_METHOD(Fixture, "a share is cleared as a whole, once") {
    REQUIRE(take(0, 5) == Hold::taken);
    REQUIRE(take(0, 5) == Hold::taken);
    REQUIRE(take(1, 5) == Hold::taken);
    Gauge::clear_share(view(), 0);
    Gauge::clear_share(view(), 0);
    CHECK(Gauge::count(total) == 1);
    CHECK(share(0) == 0);
    CHECK(share(1) == 1);
}

TEST_CASE_METHOD(Fixture, "more changes than a cell counts turns leave the counts right") {
    for (int i = 0; i < 5000; ++i) {
        REQUIRE(take(0, 1) == Hold::taken);
        drop(0);
    }
    CHECK(take(0, 2) == Hold::taken);
    CHECK(share(0) == 1);
    CHECK(Gauge::count(total) == 1);
}

TEST_CASE_METHOD(Fixture, "a total that names no participant is refused") {
    total.store(std::uint64_t{3} << 22, std::memory_order_relaxed);  // ORDER(counter): one thread
    CHECK(take(0, 5) == Hold::corrupt);
    drop(0);
    Gauge::clear_share(view(), 0);
}

TEST_CASE_METHOD(Fixture, "a gauge is closed only while it is idle, and goes on to count afterwards") {
    REQUIRE(take(0, 2) == Hold::taken);
    CHECK_FALSE(Gauge::close(view()));
    drop(0);
    const std::uint64_t before = total.load(std::memory_order_relaxed);  // ORDER(counter): one thread
    CHECK(Gauge::close(view()));
    CHECK(total.load(std::memory_order_relaxed) != before);  // ORDER(counter)
    CHECK(Gauge::count(total) == 0);
    CHECK(take(1, 1) == Hold::taken);
    CHECK(share(1) == 1);
    CHECK(share(0) == 0);
}
