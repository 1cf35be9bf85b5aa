// Waiting lines over several participants: who goes first, who is passed over, and who is woken.
#include "shm/lines.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <vector>

#include "scratch_segment.hpp"

using namespace weir::shm;
using namespace std::chrono_literals;
using weir::shm::test::ScratchName;

namespace {

using Slots = std::vector<std::uint32_t>;

/// One participant with its part in the lines.
struct Member {
    explicit Member(Segment& segment)
        : participant(segment.join("member")),
          lines(segment, participant),
          line(segment.line("group", "g")) {}

    void stand(const Place& place) { lines.set_front(line, place); }
    bool first(const Place& place, Nanos now) const { return lines.is_first(line, place, now); }

    Participant participant;
    Lines lines;
    Line line;
};

Place any_place(std::mt19937_64& random) {
    return {static_cast<std::uint8_t>(random()), Nanos(static_cast<std::int64_t>(random() >> 4))};
}

struct Fixture {
    ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Member a{segment};
    Member b{segment};
    Member c{segment};
    Nanos t = now();

    Fixture() {
        for (Member* member : {&a, &b, &c}) member->lines.begin(t);
    }
};

}  // namespace

TEST_CASE("priority goes first, then arrival, and who came at about the same time goes side by side") {
    CHECK(goes_before({5, 9s}, {6, 1s}));
    CHECK_FALSE(goes_before({6, 1s}, {5, 9s}));
    CHECK(goes_before({5, 1s}, {5, 1s + kArrivalSlack}));
    CHECK_FALSE(goes_before({5, 1s}, {5, 1s + kArrivalSlack - 1ns}));
    CHECK_FALSE(goes_before({5, 1s}, {5, 1s}));
    CHECK_FALSE(goes_before({5, 2s}, {5, 1s}));
}

TEST_CASE("a place in one word is the same place, and words compare as places do") {
    std::mt19937_64 random(1);
    for (int i = 0; i < 10'000; ++i) {
        const Place one = any_place(random);
        const Place other = any_place(random);
        REQUIRE(one.packed() != 0);
        REQUIRE(Place::unpacked(one.packed()).priority == one.priority);
        REQUIRE(one.arrival - Place::unpacked(one.packed()).arrival < 256ns);
        if (goes_before(one, other)) REQUIRE(one.packed() < other.packed());
    }
    CHECK(Place{0, 0ns}.packed() != 0);
}

TEST_CASE_METHOD(Fixture, "the first of all fronts goes first, whoever it belongs to") {
    a.stand({128, 10s});
    b.stand({128, 11s});
    c.stand({5, 12s});
    CHECK_FALSE(a.first({128, 10s}, t));
    CHECK_FALSE(b.first({128, 11s}, t));
    CHECK(c.first({5, 12s}, t));
    c.lines.clear_front(c.line);
    CHECK(a.first({128, 10s}, t));
    CHECK_FALSE(b.first({128, 11s}, t));
    a.stand({128, 13s});  // its next one came after b's
    CHECK_FALSE(a.first({128, 13s}, t));
    CHECK(b.first({128, 11s}, t));
}

TEST_CASE_METHOD(Fixture, "lines have nothing to do with each other") {
    a.stand({0, 1s});
    const Line other = segment.line("key", "g");
    CHECK(b.lines.is_first(other, {200, 9s}, t));
    CHECK(segment.find_line("key", "g").record == other.record);
    CHECK_FALSE(segment.find_line("key", "h"));
    CHECK(b.lines.is_first({}, {200, 9s}, t));  // no line at all
}

TEST_CASE_METHOD(Fixture, "who does not look for a while is passed over, and counts again when it does") {
    a.stand({0, 1s});
    CHECK_FALSE(b.first({128, 2s}, t + kSilentMax - 1ns));
    CHECK(b.first({128, 2s}, t + kSilentMax));
    a.lines.look(t + 2s);
    CHECK_FALSE(b.first({128, 2s}, t + 2s));
}

TEST_CASE_METHOD(Fixture, "what a participant had in the lines goes with it") {
    {
        Member gone(segment);
        gone.lines.begin(t);
        gone.stand({0, 1s});
        CHECK_FALSE(b.first({128, 2s}, t));
    }
    CHECK(b.first({128, 2s}, t));
    for (Member* member : {&a, &b, &c}) member->lines.end();
    CHECK_FALSE(b.lines.others_wait());
}

TEST_CASE_METHOD(Fixture, "everybody sees that somebody waits, but for who waits alone") {
    a.lines.end();
    b.lines.end();
    CHECK(a.lines.others_wait());
    CHECK_FALSE(c.lines.others_wait());
    c.lines.end();
    CHECK_FALSE(a.lines.others_wait());
}

TEST_CASE_METHOD(Fixture, "capacity wakes those at the front of a line, each once until it looks again") {
    for (Member* member : {&a, &b, &c}) member->lines.look(t);
    b.lines.step_back();
    CHECK(a.lines.woken_by_capacity() == Slots{c.lines.slot()});
    CHECK(a.lines.woken_by_capacity().empty());
    c.lines.look(t);
    CHECK(a.lines.woken_by_capacity() == Slots{c.lines.slot()});
    b.lines.look(t);
    b.lines.end();
    CHECK(a.lines.woken_by_capacity().empty());
}

TEST_CASE_METHOD(Fixture, "the turn wakes those to whom it has come, also if they stood back") {
    for (Member* member : {&a, &b, &c}) {
        member->lines.look(t);
        member->lines.step_back();
    }
    a.stand({128, 10s});
    b.stand({128, 11s});
    c.stand({128, 11s + 1ms});
    CHECK(a.lines.woken_by_turn(a.line, t).empty());  // it is the first itself
    a.stand({128, 20s});
    const Slots both{b.lines.slot(), c.lines.slot()};  // who came at about the same time
    CHECK(a.lines.woken_by_turn(a.line, t) == both);
    CHECK(a.lines.woken_by_turn(a.line, t).empty());
    b.lines.look(t);
    c.lines.look(t);
    a.lines.clear_front(a.line);
    b.stand({128, 21s});
    CHECK(b.lines.woken_by_turn(b.line, t) == Slots{c.lines.slot()});
}

TEST_CASE_METHOD(Fixture, "whatever is changed before a ring is seen by a look, or the bell rings") {
    b.lines.look(t);                                         // it looks: nothing
    CHECK(a.lines.woken_by_capacity().size() == 2);          // capacity comes back: b and c are rung
    b.lines.look(t);                                         // it looks again, and finds it
    b.lines.step_back();                                     // and stands behind others now
    CHECK(a.lines.woken_by_capacity().empty());
}
