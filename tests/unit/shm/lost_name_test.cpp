// A segment that has lost its name: its users leave it together, with what they have used.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "scratch_segment.hpp"
#include "shm/name_users.hpp"
#include "shm/segment.hpp"
#include "shm/shm_file.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

constexpr LimiterName kName{"key", "a"};

/// Looks up, charges one, and looks up again if it was refused as evicted: what every program does.
bool admit_one(Segment& segment, Participant& me, Units limit, Ticket* ticket = nullptr) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        const Charge charge{segment.limiter(kName, limit), 1};
        Admission admission = me.admit({{&charge, 1}, {}}, now());
        if (admission.admitted()) {
            if (ticket != nullptr) *ticket = std::move(admission.ticket);
            return true;
        }
        if (admission.refusal.reason != Refused::evicted) return false;
    }
    return false;
}

/// As if so much time had passed that housekeeping looks again.
Nanos later(int times = 1) {
    return now() + times * std::chrono::milliseconds(300);
}

Units used_in(const std::string& name) {
    Segment reader = Segment::attach(name);
    Units sum = 0;
    for (const LimiterInfo& limiter : reader.limiters(now())) sum += limiter.usage.used;
    return sum;
}

std::uint64_t moves_counted(const Segment& segment) {
    for (const auto& counter : segment.own_counters()) {
        if (counter.name == "moves") return counter.value;
    }
    return 999;
}

}  // namespace

TEST_CASE("when the name is removed, housekeeping makes the segment anew with all that is used") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    for (int i = 0; i < 7; ++i) REQUIRE(admit_one(segment, me, 10));
    const Charge before{segment.limiter(kName, 10), 1};
    REQUIRE(Segment::remove(scratch.name));
    me.reap(later());
    CHECK(segment.moves() == 1);
    CHECK(segment.trouble().empty());
    CHECK(used_in(scratch.name) == 7);
    // A handle of before is refused, and looked up again it is another.
    CHECK(me.admit({{&before, 1}, {}}, now()).refusal.reason == Refused::evicted);
    for (int i = 0; i < 3; ++i) CHECK(admit_one(segment, me, 10));
    CHECK_FALSE(admit_one(segment, me, 10));
    CHECK(moves_counted(segment) == 1);
    CHECK(segment.participants().size() == 1);
    CHECK(segment.participants().front().role == "me");
    // Nobody uses the old one any more.
    CHECK(name_users(scratch.name).size() == 1);
}

TEST_CASE("all users of a segment without a name meet again in one, and nothing is counted twice or lost") {
    const ScratchName scratch;
    Segment a = Segment::open(scratch.options());
    Segment b = Segment::open(scratch.options());
    Participant in_a = a.join("a");
    Participant in_b = b.join("b");
    for (int i = 0; i < 4; ++i) REQUIRE(admit_one(a, in_a, 10));
    for (int i = 0; i < 3; ++i) REQUIRE(admit_one(b, in_b, 10));
    REQUIRE(Segment::remove(scratch.name));
    in_a.reap(later());
    CHECK(used_in(scratch.name) == 7);
    // b has not looked yet: what it holds is refused, so that it goes over when it looks up.
    CHECK(b.moves() == 0);
    CHECK(admit_one(b, in_b, 10));
    CHECK(b.moves() == 1);
    CHECK(admit_one(a, in_a, 10));
    CHECK(admit_one(b, in_b, 10));
    CHECK_FALSE(admit_one(b, in_b, 10));
    CHECK_FALSE(admit_one(a, in_a, 10));
    CHECK(used_in(scratch.name) == 10);
    CHECK(a.participants().size() == 2);
    CHECK(moves_counted(a) == 2);
}

TEST_CASE("what is used goes over to a segment that somebody else has made of the name") {
    const ScratchName scratch;
    Segment old = Segment::open(scratch.options());
    Participant in_old = old.join("old");
    for (int i = 0; i < 6; ++i) REQUIRE(admit_one(old, in_old, 10));
    REQUIRE(Segment::remove(scratch.name));
    SegmentOptions hasty = scratch.options(2u << 20);
    hasty.wait_max = Nanos(0);  // does not wait for those who are still to come over
    Segment other = Segment::open(hasty);
    Participant in_other = other.join("other");
    REQUIRE(admit_one(other, in_other, 10));
    in_old.reap(later());
    CHECK(old.moves() == 1);
    CHECK(other.moves() == 0);
    CHECK(used_in(scratch.name) == 7);
    for (int i = 0; i < 3; ++i) CHECK(admit_one(old, in_old, 10));
    CHECK_FALSE(admit_one(other, in_other, 10));
}

TEST_CASE("tickets go over: what is charged stays, more is charged there, and slots are held there") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    Charge charge{segment.limiter(kName, 100), 10};
    Gauge gauge = segment.gauge("key", "a", 2);
    Ticket ticket = std::move(me.admit({{&charge, 1}, {&gauge, 1}}, now()).ticket);
    Ticket ended = std::move(me.admit({{&charge, 1}, {&gauge, 1}}, now()).ticket);
    REQUIRE(ticket);
    REQUIRE(ended);
    REQUIRE(Segment::remove(scratch.name));
    me.reap(later());
    REQUIRE(segment.moves() == 1);
    charge.limiter = segment.limiter(kName, 100);
    gauge = segment.gauge("key", "a", 2);
    CHECK(me.look(charge.limiter, now()).used == 20);
    CHECK(me.in_flight(gauge) == 2);
    CHECK(me.admit({{}, {&gauge, 1}}, now()).refusal.reason == Refused::in_flight);
    CHECK(ended.settle(0, 4, now()) == 10);  // too much was charged; it leaves with its window
    ended.close();
    CHECK(me.in_flight(gauge) == 1);
    CHECK(ticket.settle(0, 15, now()) == 15);
    CHECK(me.look(charge.limiter, now()).used == 25);
    ticket.close();
    CHECK(me.in_flight(gauge) == 0);
}

TEST_CASE("what ends while its segment is being left is not held in the next one") {
    const ScratchName scratch;
    Segment a = Segment::open(scratch.options());
    Segment b = Segment::open(scratch.options());
    Participant in_a = a.join("a");
    Participant in_b = b.join("b");
    Charge charge{b.limiter(kName, 100), 1};
    const Gauge gauge = b.gauge("key", "a", 5);
    Ticket ticket = std::move(in_b.admit({{&charge, 1}, {&gauge, 1}}, now()).ticket);
    Ticket stays = std::move(in_b.admit({{&charge, 1}, {&gauge, 1}}, now()).ticket);
    REQUIRE(Segment::remove(scratch.name));
    in_a.reap(later());
    REQUIRE(a.moves() == 1);
    REQUIRE(b.moves() == 0);
    CHECK(ticket.settle(0, 3, now()) == 3);  // more than reserved: charged where it counts now
    ticket.close();
    in_b.reap(later(2));
    CHECK(in_b.in_flight(b.gauge("key", "a", 5)) == 1);
    CHECK(in_a.look(a.limiter(kName, 100), now()).used == 4);
}

TEST_CASE("a segment is left again and again, and tickets of the first still end well") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    Ticket ticket;
    REQUIRE(admit_one(segment, me, 10, &ticket));
    for (int i = 1; i <= 3; ++i) {
        REQUIRE(Segment::remove(scratch.name));
        me.reap(later(i));
        REQUIRE(segment.moves() == static_cast<unsigned>(i));
        CHECK(admit_one(segment, me, 10));
    }
    CHECK(used_in(scratch.name) == 4);
    CHECK(ticket.settle(0, 2, now()) == 2);
    CHECK(used_in(scratch.name) == 5);
}

TEST_CASE("what cannot be opened is not gone over to, and that is said") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    REQUIRE(admit_one(segment, me, 10));
    REQUIRE(Segment::remove(scratch.name));
    REQUIRE(::mkdir(scratch.path().c_str(), 0700) == 0);
    me.reap(later());
    CHECK(segment.moves() == 0);
    CHECK(segment.trouble().find("a directory") != std::string::npos);
    CHECK(admit_one(segment, me, 10));  // it counts by itself meanwhile
    REQUIRE(::rmdir(scratch.path().c_str()) == 0);
    me.reap(later(2));
    CHECK(segment.moves() == 1);
    CHECK(segment.trouble().empty());
    CHECK(used_in(scratch.name) == 2);
}

TEST_CASE("a descriptor that is handed down brings a newcomer to its siblings") {
    const ScratchName scratch;
    Segment supervisor = Segment::open(scratch.options());
    Segment worker = Segment::open(scratch.options());
    Participant in_worker = worker.join("worker 0");
    for (int i = 0; i < 6; ++i) REQUIRE(admit_one(worker, in_worker, 10));
    REQUIRE(Segment::remove(scratch.name));
    SegmentOptions options = scratch.options();
    options.descriptor = supervisor.open_descriptor();
    REQUIRE(options.descriptor >= 0);
    Segment next = Segment::open(options);
    ::close(options.descriptor);
    Participant in_next = next.join("worker 1");
    CHECK(used_in(scratch.name) == 6);  // it has gone over at once, for itself and for its siblings
    for (int i = 0; i < 4; ++i) CHECK(admit_one(next, in_next, 10));
    CHECK_FALSE(admit_one(next, in_next, 10));
    CHECK_FALSE(admit_one(worker, in_worker, 10));
    supervisor.tend(later());
    CHECK(supervisor.moves() == 1);
}

TEST_CASE("a slot that was taken for a dead one's is not used any further") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Gauge gauge = segment.gauge("key", "a", 1);
    Ticket ticket = std::move(me.admit({{}, {&gauge, 1}}, now()).ticket);
    REQUIRE(ticket);
    // As a daemonizer does, which closes what it has not opened.
    const FileIdentity own = named_identity(scratch.name);
    for (int fd = 3; fd < 1024; ++fd) {
        if (identity_of(fd) == own) ::close(fd);
    }
    Segment other = Segment::open(scratch.options());
    SECTION("housekeeping opens it again before anybody notices") {
        me.reap(later());
        Participant them = other.join("them");
        them.reap(later());
        them.reap(later(2));
        CHECK(other.participants().size() == 2);
        CHECK(them.in_flight(other.gauge("key", "a", 1)) == 1);
    }
    SECTION("who was taken for dead comes back in another slot") {
        Participant reaper = other.join("reaper");
        reaper.reap(later());
        reaper.reap(later(2));
        const Gauge there = other.gauge("key", "a", 1);
        REQUIRE(reaper.in_flight(there) == 0);
        Ticket taken = std::move(reaper.admit({{}, {&there, 1}}, now()).ticket);
        REQUIRE(taken);
        CHECK_FALSE(me.admit({{}, {&gauge, 1}}, now()).admitted());
        ticket.close();  // does not take the other's
        CHECK(reaper.in_flight(there) == 1);
    }
}
