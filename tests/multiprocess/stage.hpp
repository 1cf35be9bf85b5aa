// A scene that a process of its own plays over and over, killed at another instruction of it each time.
//
// It is rehearsed once under ptrace, one instruction at a time, to learn its path and which instructions
// change the segment. Then it is played again for each death, and killed before the instruction that the
// death is to precede. To everybody else, all deaths between two changes of the segment are one and the same;
// those in between are there to show just that, all of them or every so many.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "crew.hpp"
#include "segment_bytes.hpp"
#include "stepped.hpp"

namespace weir::shm::test {

/// A sanitizer makes every scene many times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Whether there can be no stage here. The test's report then says so.
inline bool cannot_trace() {
    if (may_trace()) return false;
    WARN("skipped: this host does not permit ptrace");
    return true;
}

class Stage {
 public:
    struct Played {
        std::uint64_t instructions = 0;  ///< of the whole scene
        std::uint64_t changes = 0;       ///< so many of them changed the segment
        std::uint64_t deaths = 0;
        std::uint64_t missed = 0;  ///< rounds in which the child did not come by where it was to die
    };

    Stage() = default;
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    virtual ~Stage() = default;

    /// Kills before the first instruction, after each that changed a byte of `segment`, and after every
    /// `stride`-th.
    Played kill_at_each(const std::string& segment, std::uint64_t stride) {
        Played played;
        for (const Death& death : rehearse(segment, stride, played)) {
            play_round([&](Stepper& stepper) {
                if (!stepper.reaches(start_, death.stop)) ++played.missed;
            });
            check_after(death.instructions);
        }
        played.deaths -= played.missed;
        WARN(played.deaths << " deaths over " << played.instructions << " instructions, of which "
                           << played.changes << " changed the segment");
        CHECK(played.changes > 5);
        return played;
    }

 protected:
    /// What step_through() is played by, in the child: gets ready at full speed, and calls it.
    virtual void play() = 0;

    /// Before each round, in this process.
    virtual void prepare() = 0;

    /// After each death, in this process: what must hold for all who live.
    virtual void check() = 0;

    /// Does `act` under the tracer's eyes. Does not return.
    template <class Act>
    [[noreturn]] void step_through(const Act& act) {
        stop_for_tracer();
        store(progress_->begun, 1);
        act();
        store(progress_->done, 1);
        ::_exit(0);
    }

 private:
    struct Death {
        std::uint64_t instructions;  // of the scene, executed before it
        Stop stop;
    };

    template <class Trace>
    void play_round(const Trace& trace) {
        store(progress_->begun, 0);
        store(progress_->done, 0);
        prepare();
        Child child([&] {
            play();
            return 98;  // it has not come to step_through()
        });
        Stepper stepper(child);
        trace(stepper);
        stepper.kill();
    }

    /// Steps through the scene once, to its end, and chooses the deaths.
    std::vector<Death> rehearse(const std::string& segment, std::uint64_t stride, Played& played) {
        std::vector<Death> deaths;
        play_round([&](Stepper& stepper) {
            SegmentBytes bytes(segment);
            start_ = stepper.walk(*progress_, [&](const Stop& here) {
                ++played.instructions;
                const bool changed = bytes.changed();
                if (changed) ++played.changes;
                if (changed || played.instructions % stride == 0) {
                    deaths.push_back({played.instructions, here});
                }
            });
        });
        check_after(played.instructions);
        deaths.insert(deaths.begin(), {0, start_});
        played.deaths = deaths.size();
        return deaths;
    }

    void check_after(std::uint64_t instructions) {
        INFO("killed after instruction " << instructions);
        check();
    }

    const Shared<Progress> progress_;
    Stop start_{};
};

}  // namespace weir::shm::test
