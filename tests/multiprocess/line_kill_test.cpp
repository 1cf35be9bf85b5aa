// A process killed after every single instruction of its part in a waiting line: it holds up nobody who
// stands behind it, and whoever it should have woken can be woken again.
#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "shm/lines.hpp"
#include "stepped.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::Child;
using weir::shm::test::load;
using weir::shm::test::may_trace;
using weir::shm::test::Progress;
using weir::shm::test::ScratchName;
using weir::shm::test::Shared;
using weir::shm::test::Stepper;
using weir::shm::test::Stop;
using weir::shm::test::store;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStride = 97;
#else
constexpr std::uint64_t kStride = 1;
#endif

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

class Stage {
 public:
    Stage() { behind_.lines.begin(now()); }

    std::uint64_t kill_after_each() {
        std::uint64_t instructions = 0;
        for (const Stop& death : rehearse(instructions)) {
            const Nanos t = prepare();
            Child child([&] { return play(t); });
            Stepper stepper(child);
            REQUIRE(stepper.reaches(start_, death));
            stepper.kill();
            check(t);
        }
        return instructions;
    }

 private:
    int play(Nanos t) {
        Actor actor(scratch_, "stepped");
        weir::shm::test::stop_for_tracer();
        store(progress_->begun, 1);
        wait_and_go(actor, t);
        store(progress_->done, 1);
        ::_exit(0);
    }

    /// The one behind waits, asleep.
    Nanos prepare() {
        store(progress_->begun, 0);
        store(progress_->done, 0);
        const Nanos t = now();
        behind_.lines.look(t);
        behind_.lines.step_back();
        behind_.lines.set_front(behind_.line, place_of_behind(t));
        return t;
    }

    static Place place_of_behind(Nanos t) { return {128, t - std::chrono::seconds(2)}; }

    std::vector<Stop> rehearse(std::uint64_t& instructions) {
        std::vector<Stop> deaths;
        const Nanos t = prepare();
        Child child([&] { return play(t); });
        Stepper stepper(child);
        start_ = stepper.walk(*progress_, [&](const Stop& here) {
            if (++instructions % kStride == 0) deaths.push_back(here);
        });
        deaths.insert(deaths.begin(), start_);
        stepper.kill();
        check(t);
        return deaths;
    }

    void check(Nanos t) {
        const Place place = place_of_behind(t);
        // By itself it finds out that nobody looks any more ...
        CHECK(behind_.lines.is_first(behind_.line, place, t + kSilentMax));
        // ... or sooner, when the dead one is buried.
        const Nanos later = now() + kReapEvery * ++rounds_;
        CHECK(behind_.me.reap(later) == 1);
        CHECK(behind_.lines.is_first(behind_.line, place, t));
        CHECK_FALSE(behind_.lines.others_wait());
        CHECK(behind_.lines.woken_by_capacity().empty());
        // Whatever became of its bell, it rings again after the next look.
        behind_.lines.look(t);
        CHECK(other_.lines.woken_by_capacity() == std::vector<std::uint32_t>{behind_.lines.slot()});
    }

    static constexpr Nanos kReapEvery = std::chrono::seconds(1);

    const ScratchName scratch_;
    const Shared<Progress> progress_;
    Actor behind_{scratch_, "behind"};
    Actor other_{scratch_, "other"};
    Stop start_{};
    std::int64_t rounds_ = 0;
};

}  // namespace

TEST_CASE("killed after every instruction of a life in a waiting line") {
    if (!may_trace()) {
        WARN("skipped: this host does not permit ptrace");
        return;
    }
    CHECK(Stage().kill_after_each() > 300);
}
