// A process killed after every single instruction of a decision. After each: those who live are
// served at once and exactly, no limit is exceeded, and all capacity is back after a window and a
// tick.
//
// The longest scene, and all of them under a sanitizer, are killed after each instruction that changed a byte
// of the segment and after every kStride-th (see stage.hpp); WEIR_LONG=1 takes all there too.
//
// Time is a parameter of every decision, so windows pass without waiting; the processes, their
// deaths and the kernel's locks are real.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "shm/segment.hpp"
#include "shm/tick_scale.hpp"
#include "shm/word.hpp"
#include "stage.hpp"
#include "tests/support/long_form.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace weir::shm::test {
namespace {

constexpr Nanos kWindow = std::chrono::seconds(60);
constexpr Nanos kTick = kWindow / 62 + Nanos(1);
constexpr Units kLimitA = 10;
constexpr Units kLimitB = 7;
constexpr Units kFlights = 3;
constexpr Units kChildA = 4;  // what the child asks for
constexpr Units kChildB = 2;

/// What the child says of itself.
struct Board {
    Word admitted;  // its decision has returned, and it knows that it was admitted
};

constexpr std::uint64_t kStride = kSanitized ? 499 : 31;

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
    bool admits_stepped = true;  // whether `stepped` decides, or works on a ticket of `prepare`
    bool every = !kSanitized || weir::test::long_form();  // killed after every instruction
};

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

/// Looks after the child was killed; `admitted` is what it had been told by then.
void check_survivors(Actor& survivor, Nanos t, bool admitted) {
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

/// One scene, in a segment of its own.
class DecisionStage final : public Stage {
 public:
    explicit DecisionStage(const Scene& scene) : scene_(scene), survivor_(scratch_.name, "survivor") {}

    /// Returns after how many instructions the scene is over.
    std::uint64_t kill_after_each() {
        const Played played = kill_at_each(scratch_.name, scene_.every ? 1 : kStride);
        CHECK(played.missed == 0);
        return played.instructions;
    }

 private:
    /// Every round has windows of its own, far from the last one's, and an empty board. It is played in the
    /// middle of a tick, so that a time so many ticks before is just so many moves away in every round.
    void prepare() override {
        store(board_->admitted, scene_.admits_stepped ? 0 : 2);
        static constexpr TickScale scale(kWindow, 62);
        time_ = scale.start_of(scale.tick_at(now() + ++rounds_ * 4 * kWindow)) + kTick / 2;
    }

    void play() override {
        Actor actor(scratch_.name, "stepped");
        scene_.prepare(actor, time_);
        step_through([&] { scene_.stepped(actor, time_, *board_); });
    }

    void check() override {
        check_survivors(survivor_, time_ + scene_.survivor_later, load(board_->admitted) == 1);
    }

    const Scene& scene_;
    const ScratchName scratch_;
    const Shared<Board> board_;
    Actor survivor_;
    Nanos time_{};
    std::uint64_t rounds_ = 0;
};

Admission ask(Actor& actor, Nanos t) {
    const Charge charges[] = {{actor.a, kChildA}, {actor.b, kChildB}};
    return actor.me.admit({charges, {&actor.gauge, 1}}, t);
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
    CHECK(DecisionStage(scene).kill_after_each() > 200);
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
    CHECK(DecisionStage(scene).kill_after_each() > 200);
}

TEST_CASE("killed on the way of a decision that moves both windows on after a long idle time") {
    if (cannot_trace()) return;
    Scene scene;
    scene.every = weir::test::long_form();
    scene.prepare = [](Actor& actor, Nanos t) {
        const Nanos before = t - 2 * kWindow;
        ask(actor, before).ticket.cancel(before);
    };
    scene.stepped = [](Actor& actor, Nanos t, Board& board) {
        Admission admission = ask(actor, t);
        store(board.admitted, admission.admitted() ? 1 : 0);
        admission.ticket.settle(0, kChildA, t);
    };
    CHECK(DecisionStage(scene).kill_after_each() > 1000);
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
    CHECK(DecisionStage(scene).kill_after_each() > 100);
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
    CHECK(DecisionStage(scene).kill_after_each() > 100);
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
    CHECK(DecisionStage(scene).kill_after_each() > 200);
}

}  // namespace weir::shm::test
