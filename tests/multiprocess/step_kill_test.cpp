// A process killed after every single instruction of a decision. After each: those who live are
// served at once and exactly, no limit is exceeded, and all capacity is back after a window and a
// tick.
//
// Time is a parameter of every decision, so windows pass without waiting; the processes, their
// deaths and the kernel's locks are real. WEIR_STEP_STRIDE=n kills after every n-th instruction
// only (default 1; more under a sanitizer, whose instructions are many times as many).
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "shm/segment.hpp"
#include "shm/word.hpp"
#include "stepped.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::Child;
using weir::shm::test::may_trace;
using weir::shm::test::ScratchName;
using weir::shm::test::Shared;
using weir::shm::test::Stepper;

namespace {

constexpr Nanos kWindow = std::chrono::seconds(60);
constexpr Nanos kTick = kWindow / 62 + Nanos(1);
constexpr Units kLimitA = 10;
constexpr Units kLimitB = 7;
constexpr Units kFlights = 3;
constexpr Units kChildA = 4;  // what the child asks for
constexpr Units kChildB = 2;

/// What the child says of itself, for the tracer to read between two instructions.
struct Board {
    Word begun;
    Word admitted;  // its decision has returned, and it knows that it was admitted
    Word done;
};

std::uint64_t load(const Word& word) {
    return word.load(std::memory_order_acquire);  // ORDER(board): pairs with store
}
void store(Word& word, std::uint64_t value) {
    word.store(value, std::memory_order_release);  // ORDER(board): pairs with load
}

std::uint64_t stride() {
    const char* text = std::getenv("WEIR_STEP_STRIDE");
    if (text != nullptr) return std::max(1ul, std::strtoul(text, nullptr, 10));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 41;
#else
    return 1;
#endif
}

/// One process's view of the shared limits.
struct Actor {
    Segment segment;
    Participant me;
    Limiter a;
    Limiter b;
    Gauge gauge;

    Actor(const std::string& name, const char* role)
        : segment(Segment::open(options(name))),
          me(segment.join(role)),
          a(segment.limiter({"key", "a", Unit::requests, kWindow}, kLimitA)),
          b(segment.limiter({"key", "b", Unit::tokens, kWindow}, kLimitB)),
          gauge(segment.gauge("key", "g", kFlights)) {}

    static SegmentOptions options(const std::string& name) {
        SegmentOptions options;
        options.name = name;
        options.size_bytes = 1u << 20;
        return options;
    }
};

/// What the child does: `prepare` at full speed, `stepped` one instruction at a time.
struct Scene {
    std::function<void(Actor&, Nanos)> prepare;
    std::function<void(Actor&, Nanos, Board&)> stepped;
    Nanos survivor_later{};     // how much later than the child the survivors look
    bool admits_stepped = true; // whether `stepped` decides, or works on a ticket of `prepare`
};

void run_child(const std::string& name, const Scene& scene, Nanos t, Board& board) {
    Actor actor(name, "stepped");
    scene.prepare(actor, t);
    weir::shm::test::stop_for_tracer();
    store(board.begun, 1);
    scene.stepped(actor, t, board);
    store(board.done, 1);
    ::_exit(0);
}

/// Takes one unit after the other until refused.
Units take_all(Participant& me, Limiter limiter, Nanos t) {
    const Charge charge{limiter, 1};
    Units taken = 0;
    for (; taken < 1000; ++taken) {
        Admission admission = me.admit({{&charge, 1}, {}}, t);
        if (!admission.admitted()) break;
        admission.ticket.settle(0, 1, t);
    }
    return taken;
}

Units hold_all(Participant& me, const Gauge& gauge, Nanos t, std::vector<Admission>& held) {
    for (Units taken = 0;; ++taken) {
        held.push_back(me.admit({{}, {&gauge, 1}}, t));
        if (!held.back().admitted()) return taken;
    }
}

/// Looks after the child was killed at instruction `killed_at`; `admitted` is what it had been told
/// by then.
void check_survivors(Actor& survivor, Nanos t, bool admitted, std::uint64_t killed_at) {
    INFO("killed after instruction " << killed_at);
    Participant& me = survivor.me;
    const Units used_a = me.usage(survivor.a, t).used;
    const Units used_b = me.usage(survivor.b, t).used;
    // What the dead was told it had is still counted as its own.
    if (admitted) {
        CHECK(used_a >= kChildA);
        CHECK(used_b >= kChildB);
    }
    // Exactly the rest is there to take, at once.
    REQUIRE(used_a <= kLimitA);
    REQUIRE(used_b <= kLimitB);
    CHECK(take_all(me, survivor.a, t) == kLimitA - used_a);
    CHECK(take_all(me, survivor.b, t) == kLimitB - used_b);
    // The dead one's slot is free once it has been found dead, and not before.
    CHECK(me.in_flight(survivor.gauge) <= 1);
    CHECK(me.reap(t) == 1);
    CHECK(me.in_flight(survivor.gauge) == 0);
    std::vector<Admission> held;
    CHECK(hold_all(me, survivor.gauge, t, held) == kFlights);
    held.clear();
    // All capacity is back after a window and a tick.
    const Nanos later = t + kWindow + kTick;
    CHECK(me.usage(survivor.a, later).used == 0);
    CHECK(me.usage(survivor.b, later).used == 0);
    const Charge all[] = {{survivor.a, kLimitA}, {survivor.b, kLimitB}};
    Admission whole = me.admit({all, {}}, later);
    REQUIRE(whole.admitted());
    whole.ticket.cancel(later);
}

/// Plays the scene again and again, killing one instruction later each time, until it plays to its
/// end. Returns after how many instructions that is.
std::uint64_t kill_after_each(const Scene& scene) {
    const ScratchName scratch;
    const Shared<Board> board;
    Actor survivor(scratch.name, "survivor");
    std::uint64_t deaths = 0;
    for (std::uint64_t killed_at = 1;; killed_at += stride()) {
        store(board->begun, 0);
        store(board->admitted, scene.admits_stepped ? 0 : 2);
        store(board->done, 0);
        // Every round has windows of its own, far from the last one's.
        const Nanos t = now() + (killed_at + 1) * 4 * kWindow;
        Child child([&] {
            run_child(scratch.name, scene, t, *board);
            return 0;
        });
        Stepper stepper(child);
        while (load(board->begun) == 0) REQUIRE(stepper.step());
        for (std::uint64_t i = 0; i < killed_at && load(board->done) == 0; ++i) {
            REQUIRE(stepper.step());
        }
        stepper.kill();
        check_survivors(survivor, t + scene.survivor_later, load(board->admitted) == 1, killed_at);
        ++deaths;
        if (load(board->done) != 0) {
            WARN(deaths << " deaths over " << killed_at << " instructions");
            return killed_at;
        }
    }
}

Admission ask(Actor& actor, Nanos t) {
    const Charge charges[] = {{actor.a, kChildA}, {actor.b, kChildB}};
    return actor.me.admit({charges, {&actor.gauge, 1}}, t);
}

bool cannot_trace() {
    if (may_trace()) return false;
    WARN("skipped: this host does not permit ptrace");
    return true;
}

}  // namespace

TEST_CASE("killed after every instruction of a decision over two limits and a gauge") {
    if (cannot_trace()) return;
    Scene scene;
    // Both limiters stand in the decision's own tick already.
    scene.prepare = [](Actor& actor, Nanos t) { ask(actor, t).ticket.cancel(t); };
    scene.stepped = [](Actor& actor, Nanos t, Board& board) {
        Admission admission = ask(actor, t);
        store(board.admitted, admission.admitted() ? 1 : 0);
        admission.ticket.settle(0, kChildA, t);
    };
    CHECK(kill_after_each(scene) > 200);
}

TEST_CASE("killed after every instruction of a decision that moves both windows on") {
    if (cannot_trace()) return;
    Scene scene;
    scene.prepare = [](Actor& actor, Nanos t) {
        const Nanos before = t - 2 * kTick;
        ask(actor, before).ticket.cancel(before);
    };
    scene.stepped = [](Actor& actor, Nanos t, Board& board) {
        Admission admission = ask(actor, t);
        store(board.admitted, admission.admitted() ? 1 : 0);
        admission.ticket.settle(0, kChildA, t);
    };
    // The survivors are still in the tick before: they may be behind the head or have to help it.
    SECTION("survivors in the same tick") {
        scene.survivor_later = Nanos(0);
    }
    SECTION("survivors one tick later") {
        scene.survivor_later = kTick;
    }
    CHECK(kill_after_each(scene) > 200);
}

TEST_CASE("killed after every instruction of settling for less and closing") {
    if (cannot_trace()) return;
    static Admission admission;  // in the child only
    Scene scene;
    scene.admits_stepped = false;
    scene.prepare = [](Actor& actor, Nanos t) { admission = ask(actor, t); };
    scene.stepped = [](Actor&, Nanos t, Board&) {
        admission.ticket.settle(0, 1, t);
        admission.ticket.settle(1, 0, t);
        admission.ticket.close();
    };
    CHECK(kill_after_each(scene) > 100);
}

TEST_CASE("killed after every instruction of settling for more") {
    if (cannot_trace()) return;
    static Admission admission;  // in the child only
    Scene scene;
    scene.admits_stepped = false;
    scene.prepare = [](Actor& actor, Nanos t) { admission = ask(actor, t); };
    scene.stepped = [](Actor&, Nanos t, Board& board) {
        store(board.admitted, 1);  // what was reserved stays, whatever comes on top
        admission.ticket.settle(0, kLimitA, t);
        admission.ticket.settle(1, kChildB + 1, t);
        admission.ticket.close();
    };
    CHECK(kill_after_each(scene) > 100);
}

TEST_CASE("killed after every instruction of a refusal that gives back what it had charged") {
    if (cannot_trace()) return;
    Scene scene;
    scene.prepare = [](Actor& actor, Nanos t) { ask(actor, t).ticket.cancel(t); };
    scene.stepped = [](Actor& actor, Nanos t, Board& board) {
        // Each charge passes by itself; the second of `a` does not pass after the first.
        const Charge charges[] = {{actor.b, kChildB}, {actor.a, 6}, {actor.a, 6}};
        const Admission admission = actor.me.admit({charges, {&actor.gauge, 1}}, t);
        if (admission.admitted()) store(board.admitted, 1);
    };
    CHECK(kill_after_each(scene) > 200);
}
