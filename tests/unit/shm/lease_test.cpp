// A limit that hosts share, as its own host's segment has it.
#include "shm/lease.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "scratch_segment.hpp"
#include "shm/admission.hpp"
#include "shm/layout.hpp"
#include "shm/life.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

struct Fixture {
    ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("test");
    LeaseBoard board{segment};
    Nanos t = now();

    SharedLimit only() {
        const auto limits = board.limits();
        REQUIRE(limits.size() == 1);
        return limits[0];
    }
    Admission admit(Limiter limiter, Units units) {
        const std::array charges = {Charge{limiter, units}};
        return me.admit({charges, {}}, t);
    }
    Admission hold(Gauge gauge) {
        const std::array holds = {gauge};
        return me.admit({{}, holds}, t);
    }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a shared limit begins with no lease, and is kept to the lease it gets") {
    const Limiter limiter = segment.shared_limiter({"key", "a"}, 100);
    const Admission first = admit(limiter, 1);
    CHECK(first.refusal.reason == Refused::over_limit);
    CHECK(admit(limiter, 101).refusal.reason == Refused::never_fits);
    REQUIRE(board.set_lease(only(), 3, t));
    for (int i = 0; i < 3; ++i) CHECK(admit(limiter, 1).admitted());
    CHECK_FALSE(admit(limiter, 1).admitted());
    const LeaseReading reading = board.read(only(), t);
    CHECK(reading.full == 100);
    CHECK(reading.lease == 3);
    CHECK(reading.used == 3);
    const LimiterUsage usage = me.usage(limiter, t);
    CHECK(usage.shared);
    CHECK(usage.limit == 100);
    CHECK(usage.lease == 3);
    CHECK(usage.remaining == 0);
}

TEST_CASE_METHOD(Fixture, "a lease is never more than the whole, and lowering it keeps what is used") {
    const Limiter limiter = segment.shared_limiter({"key", "a"}, 10);
    board.set_lease(only(), 50, t);
    CHECK(board.read(only(), t).lease == 10);
    CHECK(admit(limiter, 6).admitted());
    board.set_lease(only(), 2, t);
    const LeaseReading reading = board.read(only(), t);
    CHECK(reading.lease == 2);
    CHECK(reading.used == 6);
    CHECK_FALSE(admit(limiter, 1).admitted());
}

TEST_CASE_METHOD(Fixture, "a refusal for want of a lease names a time at which to try again") {
    const Limiter limiter = segment.shared_limiter({"key", "a"}, 10);
    const std::array charges = {Charge{limiter, 5}};
    CHECK(me.earliest({charges, {}}, t) == t + kLeaseRetry);
    const std::array too_much = {Charge{limiter, 11}};
    CHECK_FALSE(me.earliest({too_much, {}}, t));
}

TEST_CASE_METHOD(Fixture, "a limit of one host becomes shared with nothing of it, and the other way round") {
    const Limiter own = segment.limiter({"key", "a"}, 10);
    CHECK(board.limits().empty());
    CHECK(admit(own, 4).admitted());
    LimitWatch watch(board);
    watch.look();
    const Limiter shared = segment.shared_limiter({"key", "a"}, 10);
    CHECK(watch.look().size() == 1);
    CHECK(board.read(only(), t).used == 4);
    CHECK_FALSE(admit(shared, 1).admitted());
    segment.limiter({"key", "a"}, 10);
    CHECK(board.limits().empty());
    CHECK(admit(own, 6).admitted());
}

TEST_CASE_METHOD(Fixture, "looking a shared limit up again keeps its lease") {
    segment.shared_limiter({"key", "a"}, 10);
    board.set_lease(only(), 7, t);
    segment.shared_limiter({"key", "a"}, 20);
    CHECK(board.read(only(), t).lease == 7);
    CHECK(board.read(only(), t).full == 20);
}

TEST_CASE_METHOD(Fixture, "a shared limit that becomes smaller leaves nobody with more than that") {
    const Limiter limiter = segment.shared_limiter({"key", "a"}, 20);
    board.set_lease(only(), 15, t);
    CHECK(admit(limiter, 4).admitted());
    segment.shared_limiter({"key", "a"}, 5);
    CHECK(board.read(only(), t).lease == 5);
    CHECK(admit(limiter, 1).admitted());
    CHECK_FALSE(admit(limiter, 1).admitted());
    segment.shared_limiter({"key", "a"}, 30);
    CHECK(board.read(only(), t).lease == 5);
}

TEST_CASE_METHOD(Fixture, "a shared gauge that becomes smaller leaves nobody with more than that") {
    segment.shared_gauge("deployment", "d", 5);
    board.set_lease(only(), 4, t);
    segment.shared_gauge("deployment", "d", 3);
    CHECK(board.read(only(), t).lease == 3);
}

TEST_CASE_METHOD(Fixture, "a lease that is to be lowered is not raised, should it be lower by now") {
    const Limiter limiter = segment.shared_limiter({"key", "a"}, 20);
    board.set_lease(only(), 15, t);
    board.lower_lease(only(), 10, t);
    CHECK(board.read(only(), t).lease == 10);
    board.set_lease(only(), 0, t);  // by the coordinator, before another process does as below
    board.lower_lease(only(), 10, t);
    CHECK(board.read(only(), t).lease == 0);
    CHECK_FALSE(admit(limiter, 1).admitted());
}

TEST_CASE_METHOD(Fixture, "a shared gauge allows nothing, then its lease") {
    const Gauge gauge = segment.shared_gauge("deployment", "d", 5);
    CHECK(hold(gauge).refusal.reason == Refused::in_flight);
    board.set_lease(only(), 2, t);
    const Admission first = hold(gauge);
    const Admission second = hold(gauge);
    CHECK(first.admitted());
    CHECK(second.admitted());
    CHECK_FALSE(hold(gauge).admitted());
    CHECK(board.read(only(), t).used == 2);
    // A gauge without a maximum only counts, and there is nothing to share.
    CHECK(hold(segment.shared_gauge("deployment", "other", 0)).admitted());
}

TEST_CASE_METHOD(Fixture, "a limit that is shared no more has no lease") {
    segment.shared_gauge("deployment", "d", 5);
    const SharedLimit stale = only();
    LimitWatch watch(board);
    watch.look();
    const Gauge own = segment.gauge("deployment", "d", 1);
    CHECK(watch.look().size() == 1);
    CHECK_FALSE(board.set_lease(stale, 0, t));
    const Admission first = hold(own);
    CHECK(first.admitted());
    CHECK_FALSE(hold(own).admitted());
}

TEST_CASE_METHOD(Fixture, "a program that does not know of hosts leaves what they share shared") {
    segment.shared_limiter({"key", "a"}, 10);
    board.set_lease(only(), 3, t);
    const Limiter limiter = segment.common_limiter({"key", "a"}, 20);
    CHECK(board.read(only(), t).full == 20);
    CHECK(board.read(only(), t).lease == 3);
    CHECK(admit(limiter, 3).admitted());
    CHECK_FALSE(admit(limiter, 1).admitted());
    CHECK(admit(segment.common_limiter({"key", "own"}, 5), 5).admitted());

    segment.shared_gauge("key", "g", 4);
    REQUIRE(board.limits().size() == 2);
    const SharedLimit shared = board.limits().at(1);
    board.set_lease(shared, 1, t);
    const Gauge gauge = segment.common_gauge("key", "g", 8);
    CHECK(board.read(shared, t).full == 8);
    const Admission first = hold(gauge);
    CHECK(first.admitted());
    CHECK_FALSE(hold(gauge).admitted());
}

TEST_CASE_METHOD(Fixture, "whoever watches the shared limits is told of each that comes and goes, once") {
    LimitWatch watch(board);
    CHECK(watch.look().empty());
    segment.shared_limiter({"key", "a"}, 10);
    segment.shared_gauge("key", "g", 5);
    segment.limiter({"key", "own"}, 10);
    std::vector<LimitWatch::Change> changes = watch.look();
    REQUIRE(changes.size() == 2);
    REQUIRE(changes[0].limit);
    CHECK(changes[0].limit->name == "a");
    CHECK(changes[0].limit->window == std::chrono::seconds(60));
    CHECK(board.read(*changes[0].limit, t).full == 10);
    REQUIRE(changes[1].limit);
    CHECK(changes[1].limit->window == Nanos(0));
    CHECK(board.read(*changes[1].limit, t).full == 5);
    const std::size_t place = changes[0].place;
    CHECK(place != changes[1].place);
    CHECK(watch.look().empty());
    CHECK(LimitWatch(board).look().size() == 2);

    segment.shared_limiter({"key", "b"}, 10);
    changes = watch.look();
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].limit->name == "b");
    segment.limiter({"key", "a"}, 10);  // this host's own from now on
    changes = watch.look();
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].place == place);
    CHECK_FALSE(changes[0].limit);
    CHECK(watch.look().empty());
}

TEST_CASE_METHOD(Fixture, "a limit that is being looked at for eviction has its lease still") {
    segment.shared_limiter({"key", "a"}, 10);
    const Gauge gauge = segment.shared_gauge("key", "g", 5);
    const std::vector<SharedLimit> limits = board.limits();
    REQUIRE(limits.size() == 2);
    for (const SharedLimit& limit : limits) REQUIRE(board.set_lease(limit, 4, t));
    const std::array lives = {&limits[0].limiter.record->life, &gauge.record->life};
    for (Word* life : lives) {
        // ORDER(life): nobody else is there
        const std::uint64_t live = life->load(std::memory_order_relaxed);
        life->store(Life::pack(Life::generation_of(live), Life::checking), std::memory_order_relaxed);
    }
    REQUIRE(board.limits().size() == 2);
    for (const auto& seen : {limits, board.limits()}) {
        for (const SharedLimit& limit : seen) {
            CHECK(board.read(limit, t).lease == 4);
            CHECK(board.set_lease(limit, 4, t));
        }
    }
}

TEST_CASE_METHOD(Fixture, "who is short says so, and is told when it is in vain") {
    const Limiter limiter = segment.shared_limiter({"key", "a"}, 10);
    const Shortage shortage(limiter, 4);
    REQUIRE(shortage);
    CHECK_FALSE(Shortage(limiter, 11));
    CHECK_FALSE(Shortage(segment.limiter({"key", "own"}, 10), 1));
    CHECK_FALSE(shortage.barren(t));
    shortage.want();
    CHECK(board.read(only(), t).wanted == 4);
    shortage.relieve();
    CHECK(board.read(only(), t).relieved == 4);
    board.set_barren(only(), t + std::chrono::seconds(1));
    CHECK(shortage.barren(t));
    CHECK_FALSE(shortage.barren(t + std::chrono::seconds(2)));
    // Nor has anybody else anything to give when this host has all of it.
    REQUIRE(board.set_lease(only(), 10, t));
    CHECK(shortage.barren(t + std::chrono::seconds(2)));
    REQUIRE(board.set_lease(only(), 9, t));
    CHECK_FALSE(shortage.barren(t + std::chrono::seconds(2)));
}

TEST_CASE_METHOD(Fixture, "one coordinator at a time, and its place is free when it has gone") {
    Segment other_opening = Segment::open(scratch.options());
    LeaseBoard other(other_opening);
    {
        LeaseBoard first(segment);
        CHECK(first.lead());
        CHECK(first.lead());
        CHECK_FALSE(other.lead());
    }
    CHECK(other.lead());
}

TEST_CASE_METHOD(Fixture, "what the coordination knows of itself stays in the segment") {
    CHECK(board.host(77) == 77);
    CHECK(board.host(78) == 77);
    CHECK(board.mode() == LeaseMode::local);
    LeaseContact contact;
    contact.mode = LeaseMode::shared;
    contact.until = t;
    contact.incarnation = 5;
    contact.hosts = 3;
    board.set_contact(contact);
    CHECK(board.contact().mode == LeaseMode::shared);
    CHECK(board.contact().until == t);
    CHECK(board.contact().incarnation == 5);
    CHECK(board.contact().hosts == 3);
    board.set_mode(LeaseMode::share);
    CHECK(board.mode() == LeaseMode::share);
    CHECK(board.contact().until == t);
    const std::uint64_t grants = board.grants();
    board.count_grant();
    CHECK(board.grants() == grants + 1);
    board.set_guard(t);
    CHECK(board.guard() == t);
}
