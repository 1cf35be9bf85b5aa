// What a killed process held in flight is free again within a second, when anybody asks a few times
// a second.
#include <catch2/catch.hpp>
#include <vector>

#include "crew.hpp"
#include "shm/segment.hpp"
#include "shm/word.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::Child;
using weir::shm::test::ScratchName;
using weir::shm::test::Shared;

namespace {

struct Board {
    Word holding;
    Word forks;
};

void pause_ms(long milliseconds) {
    const timespec time{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    ::nanosleep(&time, nullptr);
}

std::uint64_t load(const Word& word) {
    return word.load(std::memory_order_acquire);
}  // ORDER(board)
void store(Word& word, std::uint64_t value) {
    word.store(value, std::memory_order_release);  // ORDER(board): pairs with load
}

/// Takes `count` slots and never gives them back.
int hold(const std::string& name, Board& board, int count, bool fork_first) {
    Segment segment = Segment::open(SegmentOptions{name, 1u << 20, "", std::chrono::seconds(2)});
    Participant me = segment.join("holder");
    const Gauge gauge = segment.gauge("key", "g", 5);
    std::vector<Admission> held;
    for (int i = 0; i < count; ++i) held.push_back(me.admit({{}, {&gauge, 1}}, now()));
    if (fork_first && ::fork() == 0) {
        // A child that lives on must not keep the dead parent's place alive.
        ::prctl(PR_SET_PDEATHSIG, 0);
        store(board.forks, 1);
        pause_ms(3000);
        ::_exit(0);
    }
    while (fork_first && load(board.forks) == 0) pause_ms(1);
    store(board.holding, 1);
    for (;;) pause_ms(1000);
}

void check_freed(bool fork_first) {
    const ScratchName scratch;
    const Shared<Board> board;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Gauge gauge = segment.gauge("key", "g", 5);
    Child holder([&] { return hold(scratch.name, *board, 5, fork_first); });
    for (int i = 0; i < 2000 && load(board->holding) == 0; ++i) pause_ms(1);
    REQUIRE(me.in_flight(gauge) == 5);
    CHECK(me.reap(now()) == 0);  // the living are left alone
    CHECK(me.admit({{}, {&gauge, 1}}, now()).refusal.reason == Refused::in_flight);
    holder.kill();
    holder.wait();
    const Nanos killed = now();
    unsigned reaped = 0;
    while (reaped == 0 && now() - killed < std::chrono::seconds(1)) {
        pause_ms(50);
        reaped = me.reap(now());
    }
    CHECK(reaped == 1);
    CHECK(me.in_flight(gauge) == 0);
    CHECK(segment.participants().size() == 1);
}

}  // namespace

TEST_CASE("the in-flight share of a killed process is back within a second") {
    check_freed(false);
}

TEST_CASE("also when a child that it forked lives on") {
    check_freed(true);
}

TEST_CASE("a full gauge looks for the dead by itself") {
    const ScratchName scratch;
    const Shared<Board> board;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Gauge gauge = segment.gauge("key", "g", 5);
    {
        Child holder([&] { return hold(scratch.name, *board, 5, false); });
        for (int i = 0; i < 2000 && load(board->holding) == 0; ++i) pause_ms(1);
        REQUIRE(me.in_flight(gauge) == 5);
    }
    bool admitted = false;
    const Nanos killed = now();
    while (!admitted && now() - killed < std::chrono::seconds(1)) {
        admitted = me.admit({{}, {&gauge, 1}}, now()).admitted();
    }
    CHECK(admitted);
}

TEST_CASE("the slots of the dead are taken again when all are in use") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    std::vector<Participant> living;
    for (int i = 0; i < 7; ++i) living.push_back(segment.join("living"));
    for (int i = 0; i < 3; ++i) {
        Child dying([&] {
            Segment own = Segment::open(scratch.options());
            const Participant me = own.join("dying");
            ::raise(SIGKILL);
            return 0;
        });
        CHECK(dying.wait() == 256 + SIGKILL);
    }
    CHECK_NOTHROW(living.push_back(segment.join("eighth")));
    CHECK_THROWS_AS(segment.join("ninth"), DirectoryFull);
    living.pop_back();
    CHECK_NOTHROW(segment.join("again"));
}
