// A process killed after every single instruction of its part in a waiting line: it holds up nobody who
// stands behind it, and whoever it should have woken can be woken again.
#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

#include "shm/lines.hpp"
#include "stage.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace weir::shm::test {
namespace {

/// One process's part.
struct Actor {
    Segment segment;
    Participant me;
    Line line;
    Lines lines;

    Actor(const ScratchName& scratch, const char* role)
        : segment(Segment::open(scratch.options())),
          me(segment.join(role)),
          line(segment.line("group", "g")),
          lines(segment, me) {}
};

/// Two that wait, one behind the other, from the first word to the last.
void wait_and_go(Actor& actor, Nanos t) {
    actor.lines.begin(t);
    actor.lines.set_front(actor.line, {5, t - std::chrono::seconds(3)});
    actor.lines.look(t);
    if (!actor.lines.is_first(actor.line, {5, t - std::chrono::seconds(3)}, t)) actor.lines.step_back();
    actor.lines.woken_by_capacity();
    actor.lines.set_front(actor.line, {200, t - std::chrono::seconds(1)});
    actor.lines.woken_by_turn(actor.line, t);
    actor.lines.clear_front(actor.line);
    actor.lines.woken_by_turn(actor.line, t);
    actor.lines.end();
}

class LineStage final : public Stage {
 public:
    LineStage() { behind_.lines.begin(now()); }

    std::uint64_t kill_after_each() {
        const Played played = kill_at_each(scratch_.name, kSanitized ? 97 : 1);
        CHECK(played.missed == 0);
        return played.instructions;
    }

 private:
    /// The one behind waits, asleep.
    void prepare() override {
        time_ = now();
        behind_.lines.look(time_);
        behind_.lines.step_back();
        behind_.lines.set_front(behind_.line, place_of_behind());
    }

    Place place_of_behind() const { return {128, time_ - std::chrono::seconds(2)}; }

    void play() override {
        Actor actor(scratch_, "stepped");
        step_through([&] { wait_and_go(actor, time_); });
    }

    void check() override {
        const Place place = place_of_behind();
        // By itself it finds out that nobody looks any more ...
        CHECK(behind_.lines.is_first(behind_.line, place, time_ + kSilentMax));
        // ... or sooner, when the dead one is buried.
        const Nanos later = now() + kReapEvery * ++rounds_;
        CHECK(behind_.me.reap(later) == 1);
        CHECK(behind_.lines.is_first(behind_.line, place, time_));
        CHECK_FALSE(behind_.lines.others_wait());
        CHECK(behind_.lines.woken_by_capacity().empty());
        // Whatever became of its bell, it rings again after the next look.
        behind_.lines.look(time_);
        CHECK(other_.lines.woken_by_capacity() == std::vector<std::uint32_t>{behind_.lines.slot()});
    }

    static constexpr Nanos kReapEvery = std::chrono::seconds(1);

    const ScratchName scratch_;
    Actor behind_{scratch_, "behind"};
    Actor other_{scratch_, "other"};
    Nanos time_{};
    std::int64_t rounds_ = 0;
};

}  // namespace

TEST_CASE("killed after every instruction of a life in a waiting line") {
    if (cannot_trace()) return;
    CHECK(LineStage().kill_after_each() > 300);
}

}  // namespace weir::shm::test
