// The flight recorder, the auditor that replays it, and the inspector's views of both.
#include "shm/recorder.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "scratch_segment.hpp"
#include "shm/audit.hpp"
#include "shm/inspector.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kSecondNs = 1'000'000'000;

struct Ring {
    std::vector<RingRecord> records = std::vector<RingRecord>(8);
    Word position;
    RingWriter writer{records.data(), 8, position};
    RingCopy read() const { return read_ring(records.data(), 8, position, kAll); }
};

Decided decided(std::uint64_t time_s, Units units, Recorded kind = Recorded::admit) {
    Decided what;
    what.time_ns = time_s * kSecondNs;
    what.record = 3;
    what.generation = 9;
    what.kind = kind;
    what.units = units;
    return what;
}

AuditFinding audit_of(const std::vector<Decided>& decisions, Units limit) {
    RingCopy ring;
    ring.decisions = decisions;
    AuditedLimiter limiter;
    limiter.record = 3;
    limiter.generation = 9;
    limiter.limit = limit;
    limiter.window = std::chrono::seconds(60);
    return audit(merge({ring}), {limiter}).at(0);
}

}  // namespace

TEST_CASE("a ring gives back what was written") {
    Ring ring;
    CHECK(ring.read().decisions.empty());
    Decided what = decided(5, 7, Recorded::charge);
    what.record = 0xff'ffff;
    what.generation = 0xffff'ffff;
    what.tick = 99;
    ring.writer.write(what);
    const RingCopy copy = ring.read();
    REQUIRE(copy.decisions.size() == 1);
    CHECK(copy.decisions[0].record == 0xff'ffff);
    CHECK(copy.decisions[0].generation == 0xffff'ffff);
    CHECK(copy.decisions[0].kind == Recorded::charge);
    CHECK(copy.decisions[0].units == 7);
    CHECK(copy.decisions[0].tick == 99);
    CHECK_FALSE(copy.overwritten);
}

TEST_CASE("a ring that has gone round holds its last records and says so") {
    Ring ring;
    for (Units i = 0; i < 20; ++i) ring.writer.write(decided(i, i));
    const RingCopy copy = ring.read();
    CHECK(copy.overwritten);
    REQUIRE(copy.decisions.size() == 7);  // the eighth may be the one that is being written
    CHECK(copy.first == 13);
    for (std::size_t i = 0; i < 7; ++i) CHECK(copy.decisions[i].units == 13 + i);
}

TEST_CASE("consecutive refusals of one limiter share a record") {
    Ring ring;
    for (Units i = 1; i <= 5; ++i) ring.writer.write_refusal(decided(i, 1, Recorded::refuse));
    ring.writer.write(decided(6, 1));
    ring.writer.write_refusal(decided(7, 1, Recorded::refuse));
    const RingCopy copy = ring.read();
    REQUIRE(copy.decisions.size() == 3);
    CHECK(copy.decisions[0].units == 5);
    CHECK(copy.decisions[0].time_ns == 5 * kSecondNs);
    CHECK(copy.decisions[2].units == 1);
}

TEST_CASE("a writer that joins a ring again goes on behind the old records") {
    Ring ring;
    ring.writer.write(decided(1, 1));
    RingWriter next(ring.records.data(), 8, ring.position);
    next.write(decided(2, 2));
    CHECK(ring.read().decisions.size() == 2);
}

TEST_CASE("the audit finds the fullest window and knows its ends") {
    CHECK(audit_of({decided(100, 4), decided(159, 5), decided(160, 6)}, 11).worst == 11);
    CHECK(audit_of({decided(100, 4), decided(159, 5), decided(160, 6)}, 11).violated() == false);
    const AuditFinding over = audit_of({decided(100, 4), decided(159, 5), decided(160, 6)}, 10);
    CHECK(over.violated());
    CHECK(over.worst_at == std::chrono::seconds(160));
}

TEST_CASE("what was given back counts as never admitted") {
    const AuditFinding finding =
        audit_of({decided(100, 10), decided(100, 10, Recorded::give_back), decided(101, 10)}, 10);
    CHECK(finding.worst == 10);
    CHECK(finding.admitted == 10);
}

TEST_CASE("debts and refusals are no admissions") {
    const AuditFinding finding = audit_of(
        {decided(100, 10), decided(101, 50, Recorded::charge), decided(102, 3, Recorded::refuse)},
        10);
    CHECK(finding.worst == 10);
    CHECK(finding.beyond == 50);
    CHECK(finding.refusals == 3);
}

TEST_CASE(
    "the audit covers only what every ring still holds and what was decided under this limit") {
    RingCopy whole;
    whole.decisions = {decided(100, 1), decided(200, 1)};
    RingCopy overwritten;
    overwritten.decisions = {decided(90, 1, Recorded::give_back), decided(150, 1), decided(210, 1)};
    overwritten.overwritten = true;
    const Recording recording = merge({whole, overwritten});
    CHECK(recording.covered_since == std::chrono::seconds(150) + Nanos(1));
    AuditedLimiter limiter;
    limiter.record = 3;
    limiter.generation = 9;
    limiter.limit = 1;
    limiter.window = std::chrono::seconds(60);
    CHECK(audit(recording, {limiter}).at(0).worst == 2);
    limiter.limit_since = std::chrono::seconds(205);
    CHECK(audit(recording, {limiter}).at(0).worst == 1);
    limiter.generation = 8;
    CHECK(audit(recording, {limiter}).at(0).admissions == 0);
}

TEST_CASE("real decisions are recorded, found by name, and audited") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    Participant you = segment.join("you");
    const Charge charge{segment.limiter({"key", "a"}, 10), 1};
    const Nanos t = now();  // after the limit was set: the audit starts there
    for (int i = 0; i < 20; ++i) {
        (void)(i % 2 == 0 ? me : you).admit({{&charge, 1}, {}}, t + std::chrono::milliseconds(i));
    }
    const Inspector inspector(segment);
    const AuditReport report = inspector.audit();
    REQUIRE(report.limiters.size() == 1);
    CHECK(report.limiters[0].name == "a");
    CHECK(report.limiters[0].finding.worst == 10);
    CHECK(report.limiters[0].finding.refusals == 10);
    CHECK_FALSE(report.violated);
    CHECK(report.covered_since == Nanos(0));
    const auto decisions = inspector.decisions(3);
    REQUIRE(decisions.size() == 3);
    CHECK(decisions.back().limiter == "key:a requests");

    // An auditor that cannot fail is worth nothing: with the limit lowered in its own eyes it does.
    auto limiter = report.limiters[0].finding.limiter;
    limiter.limit = 9;
    RingCopy ring;
    for (const auto& info : inspector.decisions(100)) ring.decisions.push_back(info.decided);
    CHECK(audit(merge({ring}), {limiter}).at(0).violated());
}

TEST_CASE("a decider whose clock lags is recorded in the tick that it was charged in") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Nanos t = now();
    const Charge charge{segment.limiter({"key", "a"}, 10), 1};
    REQUIRE(me.admit({{&charge, 1}, {}}, t).admitted());
    REQUIRE(me.admit({{&charge, 1}, {}}, t - std::chrono::seconds(30)).admitted());
    const auto decisions = Inspector(segment).decisions(10);
    REQUIRE(decisions.size() == 2);
    const auto earliest = static_cast<std::uint64_t>((t - std::chrono::seconds(1)).count());
    CHECK(decisions[0].decided.time_ns >= earliest);
    CHECK(decisions[0].decided.tick == decisions[1].decided.tick);
}
