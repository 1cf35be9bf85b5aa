// A host whose coordinator is stopped, and the other processes of it; and the coordinator when it goes on.
#include "router/redis/lease_watch.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "router/redis/segment_leases.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace std::chrono_literals;
using namespace weir::router;
using namespace weir::shm;

namespace {

/// One of four hosts, with a limit of 100 in 6 s. The coordinator works and is stopped as a test calls for.
struct Stand {
    explicit Stand(FailMode mode)
        : host(LeaseRules{7, mode, 4, {}}, leases, board.contact(), t), watch(other, {mode, 4, 15s}) {
        leases.serve(host);
        leases.look_for_limits(host);
    }

    Units lease() { return board.read(board.limits().at(0), t).lease; }
    bool admit() {
        const std::array charges = {Charge{limiter, 1}};
        return me.admit({charges, {}}, t).admitted();
    }
    std::optional<Beat> poll() {
        auto beat = host.poll(t, 5);
        publish_contact(board, host.contact());
        return beat;
    }
    bool answer(BeatAnswer::Status status, std::vector<Units> grants = {}) {
        const bool good = host.answered({status, 99, 4, std::move(grants)}, t);
        publish_contact(board, host.contact());
        return good;
    }
    /// A first lease.
    void begin(Units lease) {
        REQUIRE(poll());
        const Wanted wanted(Shortage(limiter, 1));
        REQUIRE(answer(BeatAnswer::Status::unknown));
        const auto beat = poll();
        REQUIRE(beat);
        REQUIRE(beat->reports.size() == 1);
        REQUIRE(answer(BeatAnswer::Status::granted, {lease}));
        REQUIRE(this->lease() == lease);
    }
    /// What another process does for as long as this.
    void watch_for(Nanos time) {
        for (const Nanos end = t + time; t < end; t += 200ms) {
            watch.check(t);
            raises += watch.look(t);
        }
    }

    test::ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Limiter limiter = segment.shared_limiter({"key", "a", Unit::requests, 6s}, 100);
    Participant me = segment.join("test");
    LeaseBoard board{segment};
    Segment same = Segment::open(scratch.options());
    LeaseBoard other{same};
    SegmentLeases leases{board};
    Nanos t = now();
    LeaseHost host;
    LeaseWatch watch;
    int raises = 0;
};

}  // namespace

TEST_CASE("mode open: where the coordinator is stopped, another process takes the whole limit") {
    Stand stand(FailMode::open);
    stand.begin(3);
    stand.watch_for(14900ms);
    CHECK(stand.board.mode() == LeaseMode::shared);
    CHECK(stand.lease() == 3);
    stand.watch_for(300ms);
    CHECK(stand.board.mode() == LeaseMode::open);
    CHECK(stand.board.guard() == Nanos(0));
    CHECK(stand.lease() == 100);
    CHECK(stand.raises == 1);
    // Also of a limit that is new.
    stand.segment.shared_limiter({"key", "b"}, 50);
    stand.watch_for(200ms);
    for (const SharedLimit& limit : stand.board.limits()) {
        const LeaseReading reading = stand.board.read(limit, stand.t);
        CHECK(reading.lease == reading.full);
    }
}

TEST_CASE("mode share: another process takes the share of the host when the coordinator would have") {
    Stand stand(FailMode::share);
    stand.begin(3);
    stand.watch_for(15s + 6s + 14900ms);  // the lease, the window, and the others' leases
    CHECK(stand.board.mode() == LeaseMode::share);
    CHECK(stand.lease() == 3);
    stand.watch_for(300ms);
    CHECK(stand.lease() == 25);
    CHECK(stand.raises == 1);
}

TEST_CASE("mode share: a beat without an answer counts as a lease, for others may go by that") {
    Stand stand(FailMode::share);
    stand.begin(3);
    stand.t += 14s;
    REQUIRE(stand.poll());  // it gives back what is idle, and is stopped before the answer
    stand.watch_for(15s + 6s + 14900ms);
    CHECK(stand.lease() == 0);
    stand.watch_for(300ms);
    CHECK(stand.lease() == 25);
}

TEST_CASE("mode closed: nobody takes anything, and a share that is larger than the lease is left") {
    Stand closed(FailMode::closed);
    closed.begin(3);
    closed.watch_for(60s);
    CHECK(closed.board.mode() == LeaseMode::closed);
    CHECK(closed.lease() == 0);
    CHECK(closed.raises == 0);
}

TEST_CASE("a coordinator that is at work settles by itself, however long there is no contact") {
    Stand stand(FailMode::open);
    stand.begin(3);
    for (int i = 0; i < 100; ++i) {
        if (stand.poll()) stand.host.failed(stand.t);
        stand.watch_for(200ms);
        stand.t += 200ms;
    }
    CHECK(stand.board.mode() == LeaseMode::open);
    CHECK(stand.lease() == 100);
    CHECK(stand.raises == 0);
}

TEST_CASE("a coordinator that is stopped before there was any contact is not waited for") {
    Stand stand(FailMode::share);
    REQUIRE(stand.poll());
    stand.watch_for(14900ms);
    CHECK(stand.board.mode() == LeaseMode::local);
    stand.watch_for(300ms);
    CHECK(stand.board.mode() == LeaseMode::share);
    CHECK(stand.lease() == 25);
}

TEST_CASE("a coordinator that goes on finds what the others have made of its host, and says that") {
    const FailMode mode = GENERATE(FailMode::share, FailMode::open);
    const Units all = mode == FailMode::open ? 100 : 25;
    Stand stand(mode);
    stand.begin(3);
    stand.watch_for(60s);
    REQUIRE(stand.lease() == all);
    for (int i = 0; i < 7; ++i) CHECK(stand.admit());
    const auto beat = stand.poll();
    CHECK(stand.board.mode() == mode_without_contact(mode));
    CHECK(stand.lease() == all);
    REQUIRE(beat);
    CHECK(beat->failed);
    REQUIRE(beat->reports.size() == 1);
    CHECK(beat->reports[0].hold == all);
    CHECK(beat->reports[0].used == 7);
    REQUIRE(stand.answer(BeatAnswer::Status::unknown));
    REQUIRE(stand.poll());
    REQUIRE(stand.answer(BeatAnswer::Status::granted, {10}));
    CHECK(stand.lease() == 10);
    CHECK(stand.board.mode() == LeaseMode::shared);
    stand.watch_for(1s);
    CHECK(stand.lease() == 10);
}

TEST_CASE("an answer that waited for the coordinator does not leave it what the others have taken") {
    Stand stand(FailMode::open);
    stand.begin(3);
    stand.t += 14s;
    REQUIRE(stand.poll());  // it gives back what is idle, and is stopped before the answer
    stand.watch_for(14s);
    CHECK(stand.board.mode() == LeaseMode::open);
    CHECK(stand.lease() == 0);  // for so long the answer would be believed, and would leave it at that
    stand.watch_for(2s);
    CHECK(stand.lease() == 100);
    CHECK_FALSE(stand.answer(BeatAnswer::Status::granted, {0}));
    CHECK(stand.poll() == std::nullopt);
    CHECK(stand.board.mode() == LeaseMode::open);
}
