// Whatever is read from the segment is input. Every word of a small, used segment is overwritten
// with garbage in turn, and everything a program can ask is asked: nothing crashes, hangs, or
// indexes out of bounds.
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "scratch_segment.hpp"
#include "shm/health.hpp"
#include "shm/inspector.hpp"
#include "shm/lines.hpp"
#include "shm/segment.hpp"
#include "shm/segment_impl.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

struct Fixture {
    ScratchName scratch;
    SegmentImpl impl{SegmentFile::open(scratch.options()), scratch.options(), false};
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    Limiter a = segment.limiter({"key", "a"}, 10);
    Limiter b = segment.limiter({"key", "b", Unit::tokens, std::chrono::hours(24)}, 1000);
    Gauge gauge = segment.gauge("key", "g", 5);
    Health health = segment.health("deployment", "h");
    Counter counter = segment.counter("c");
    Line line = segment.line("group", "l");
    Lines lines{segment, me};

    /// Asks for everything once.
    void exercise() {
        const Nanos t = now();
        const Charge charges[] = {{a, 1}, {b, 5}};
        const Demand demand{charges, {&gauge, 1}};
        {
            Admission admission = me.admit(demand, t);
            admission.ticket.settle(0, 3, t);
            admission.ticket.settle(1, 0, t);
        }
        (void)me.would_admit(demand, t);
        (void)me.earliest(demand, t);
        (void)me.usage(a, t);
        me.charge(b, 2, t);
        (void)me.in_flight(gauge);
        me.reap(t);
        set_cooldown(health, t);
        record_failure(health, t);
        record_success(health, t, {Nanos(5), Nanos(3)});
        record_timeout(health, t, {kTimeoutPenalty, kTimeoutPenalty});
        learn(health, {10, 2, 3});
        Segment::add(counter, 1);
        lines.begin(t);
        lines.set_front(line, {128, t});
        (void)lines.is_first(line, {128, t}, t);
        (void)lines.others_wait();
        (void)lines.woken_by_capacity();
        (void)lines.woken_by_turn(line, t);
        lines.end();
        try {
            (void)segment.limiter({"key", "a"}, 10);
            (void)segment.limiter({"key", "new"}, 10);
            (void)segment.gauge("key", "g", 5);
            (void)segment.line("group", "l");
        } catch (const std::exception&) {
            // Refused with a reason is as good as served.
        }
    }

    void look() {
        const Nanos t = now();
        (void)segment.limiters(t);
        (void)segment.participants();
        (void)segment.own_counters();
        segment.each_counter([](std::string_view, std::uint64_t) {});
        const Inspector inspector(segment);
        (void)inspector.gauges();
        (void)inspector.waiters();
        (void)inspector.healths(t);
        (void)inspector.decisions(50);
        (void)inspector.audit();
    }

    /// Garbles `bytes` bytes from `offset`, one word after the other, each with several kinds of
    /// garbage.
    void garble(std::uint64_t offset, std::uint64_t bytes, bool looking) {
        std::byte* const data = impl.file().data();
        std::vector<std::byte> saved(impl.geometry().size_bytes);
        exercise();
        REQUIRE(me.usage(a, now()).used != 0);  // what is asked for does something while all is well
        std::memcpy(saved.data(), data, saved.size());
        for (std::uint64_t at = offset; at < offset + bytes; at += 8) {
            for (const std::uint64_t garbage :
                 {~std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0},
                  std::uint64_t{0x8000'0000'0000'0000}, std::uint64_t{0x7fff'ffff'ffff'ffff},
                  std::uint64_t{0x0123'4567'89ab'cdef}}) {
                std::memcpy(data + at, &garbage, 8);
                exercise();
                if (looking) look();
                std::memcpy(data + at, saved.data() + at, 8);
            }
            // What the garbage led to elsewhere must not add up.
            std::memcpy(data, saved.data(), saved.size());
        }
    }

    std::uint64_t offset_of(const void* record) {
        const auto* mapped = static_cast<const std::byte*>(record);
        // The handles point into another mapping of the same file; the index of the record is the
        // same.
        return static_cast<std::uint64_t>(mapped - mapping());
    }
    const std::byte* mapping() {
        const auto* first = reinterpret_cast<const std::byte*>(a.record);
        return first - impl.geometry().records_at[0];
    }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "no garbage in a window's record does harm") {
    REQUIRE(offset_of(b.record) == impl.geometry().records_at[0] + sizeof(WindowRecord));
    garble(offset_of(a.record), sizeof(WindowRecord), true);
}

TEST_CASE_METHOD(Fixture, "no garbage in the header and the participants does harm") {
    garble(offsetof(Header, work), sizeof(Header) - offsetof(Header, work), false);
    garble(impl.geometry().participants_at, 2 * sizeof(ParticipantRecord), true);
}

TEST_CASE_METHOD(Fixture, "no garbage in a gauge and its cells does harm") {
    garble(offset_of(gauge.record), impl.geometry().gauge_stride, false);
}

TEST_CASE_METHOD(Fixture, "no garbage in health, counters and the recorder does harm") {
    garble(offset_of(health.record), sizeof(HealthRecord), false);
    garble(offset_of(counter.record), 128, true);
    garble(impl.geometry().rings_at, 4 * sizeof(RingRecord), true);
}

TEST_CASE_METHOD(Fixture, "no garbage in a waiting line and its fronts does harm") {
    garble(offset_of(line.record), impl.geometry().line_stride, true);
}

TEST_CASE_METHOD(Fixture, "no garbage in an index does harm") {
    for (std::size_t table = 0; table < kTables; ++table) {
        garble(impl.geometry().index_at[table], 64, false);
    }
    // All of it at once: every name is unknown, and still nothing crashes.
    std::memset(impl.file().data() + impl.geometry().index_at[0], 0x5a,
                8u * impl.geometry().index_words[0]);
    exercise();
    look();
}
