// What a coordinator leaves in the segment at each of its steps, for it may be stopped or killed after any.
#include "router/redis/segment_leases.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/unit/shm/scratch_segment.hpp"

using namespace std::chrono_literals;
using namespace weir::router;
using namespace weir::shm;

namespace {

/// A host with one limit of 100.
struct Stand {
    test::ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Limiter limiter = segment.shared_limiter({"key", "a"}, 100);
    LeaseBoard board{segment};
    SegmentLeases leases{board};
    Nanos t = now();
    LeaseHost host{LeaseRules{7, FailMode::share, 2, {}}, leases, board.contact(), t};

    Stand() {
        leases.serve(host);
        leases.look_for_limits(host);
    }
    Units lease() { return board.read(board.limits().at(0), t).lease; }
    /// Its first lease, of 30; a request waits for it.
    void begin() {
        REQUIRE(host.poll(t, 5));
        const Wanted wanted(Shortage(limiter, 1));
        REQUIRE(host.answered({BeatAnswer::Status::unknown, 99, 1, {}}, t));
        const auto beat = host.poll(t, 5);
        REQUIRE(beat);
        REQUIRE(beat->reports.size() == 1);
        REQUIRE(host.answered({BeatAnswer::Status::granted, 99, 1, {30}}, t));
    }
};

}  // namespace

TEST_CASE_METHOD(Stand, "a lease that is raised has an end already, should the coordinator come no further") {
    CHECK(board.guard() == Nanos(0));
    begin();
    CHECK(lease() == 30);
    CHECK(board.mode() == LeaseMode::shared);
    CHECK(board.guard() == t + 15s);
}

TEST_CASE_METHOD(Stand, "while leases are lowered for want of contact, their end stays for others to see") {
    begin();
    const Nanos end = board.guard();
    t = end;
    CHECK(host.poll(t, 5));
    CHECK(host.contact().mode == LeaseMode::share);
    CHECK(board.mode() == LeaseMode::shared);
    CHECK(board.guard() == end);
    publish_contact(board, host.contact());
    CHECK(board.mode() == LeaseMode::share);
    CHECK(board.guard() == Nanos(0));
}

TEST_CASE_METHOD(Stand, "every lease that is raised is told to those who wait, asked for by them or not") {
    begin();
    CHECK(leases.take_raised());
    CHECK_FALSE(leases.take_raised());
    leases.set_lease(0, 20, t);
    CHECK_FALSE(leases.take_raised());
    leases.set_lease(0, 40, t);
    CHECK(leases.take_raised());
}

TEST_CASE_METHOD(Stand, "what is wanted of a limit that turns up later was wanted just now") {
    begin();
    const Wanted wanted(Shortage(segment.shared_limiter({"key", "b"}, 100), 1));
    leases.look_for_limits(host);
    const auto beat = host.poll(t, 5);
    REQUIRE(beat);
    const auto of_b = std::find_if(beat->reports.begin(), beat->reports.end(), [](const LeaseReport& report) {
        return report.key.find(":b:") != std::string::npos;
    });
    REQUIRE(of_b != beat->reports.end());
    CHECK(of_b->need == 1);
}

TEST_CASE_METHOD(Stand, "a limit that is shared no more is reported once, with nothing") {
    begin();
    segment.limiter({"key", "a"}, 100);
    leases.look_for_limits(host);
    const auto beat = host.poll(t, 5);
    REQUIRE(beat);
    REQUIRE(beat->reports.size() == 1);
    CHECK(beat->reports[0].hold == 0);
    REQUIRE(host.answered({BeatAnswer::Status::granted, 99, 1, {0}}, t));
    CHECK_FALSE(host.poll(t, 5));
}
