// A process killed while it makes a limiter by evicting another, after every instruction that changes the
// segment and after many in between. After each: the name can be made by whoever comes next, it limits
// exactly, nobody is admitted by a handle of what was evicted, and all other names are as they were.
//
// WEIR_LONG=1 takes every instruction.
#include <catch2/catch.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shm/segment.hpp"
#include "shm/segment_impl.hpp"
#include "stage.hpp"
#include "tests/support/long_form.hpp"
#include "tests/support/wait.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace weir::shm::test {
namespace {

constexpr Nanos kBusyWindow = std::chrono::hours(24);
constexpr Nanos kOldWindow = std::chrono::milliseconds(10);  // what is evicted is idle so soon
constexpr Nanos kNextWindow = std::chrono::milliseconds(12);
constexpr Units kOldLimit = 3;
constexpr Units kNextLimit = 5;
constexpr Units kTaken = 2;  // what the child takes of what it has made

constexpr std::uint64_t kStride = kSanitized ? 4999 : 97;

struct Board {
    Word taken;  // it has been told that it has kTaken
};

/// A full table, in which only one limiter is ever idle; the child's new one takes its place.
class EvictionStage final : public Stage {
 public:
    EvictionStage() {
        make("old", kOldWindow, kOldLimit);
        const std::uint32_t places = SegmentAccess::impl(segment_)->table(Table::windows).count;
        for (std::uint32_t i = 1; i < places; ++i) {
            busy_.push_back(busy(i));
            REQUIRE(me_.charge(busy_.back(), 1, now()) == 1);
        }
    }

    /// Where the names stand in the index is not the same in every round, and so is not the way there: some
    /// deaths are missed. Returns how many were not.
    std::uint64_t kill_after_each() {
        const Played played = kill_at_each(scratch_.name, weir::test::long_form() ? 1 : kStride);
        WARN(delayed_ << " left the old limiter in use until its window had passed");
        return played.deaths;
    }

 private:
    Limiter busy(std::size_t number) {
        const std::string name = std::to_string(number);
        return segment_.limiter({"busy", name, Unit::requests, kBusyWindow}, 9);
    }

    /// Makes a limiter as soon as there is a place for it.
    Limiter make(std::string_view name, Nanos window, Units limit) {
        Limiter made;
        REQUIRE(weir::test::wait_until([&] {
            try {
                made = segment_.limiter({"brief", name, Unit::requests, window}, limit);
            } catch (const DirectoryFull&) {
                ++waits_;
            }
            return bool(made);
        }));
        return made;
    }

    /// The old limiter has been used, and is idle again; the search for a place begins with it.
    void prepare() override {
        store(board_->taken, 0);
        old_ = make("old", kOldWindow, kOldLimit);
        REQUIRE(me_.charge(old_, 1, now()) == 1);
        REQUIRE(weir::test::wait_until([&] { return me_.usage(old_, now()).used == 0; }));
        SegmentImpl& impl = *SegmentAccess::impl(segment_);
        const std::uint32_t place = impl.index_of(*old_.record);
        // ORDER(table): nobody is at it
        impl.header().tables[0].hand.store(place, std::memory_order_relaxed);
        prepared_ = now();
    }

    void play() override {
        Segment segment = Segment::open(scratch_.options());
        Participant me = segment.join("stepped");
        step_through([&] {
            const Charge charge{segment.limiter({"brief", "next", Unit::requests, kNextWindow}, kNextLimit),
                                kTaken};
            const Admission admission = me.admit({{&charge, 1}, {}}, now());
            store(board_->taken, admission.admitted() ? 1 : 0);
        });
    }

    void check() override {
        const bool told = load(board_->taken) == 1;
        const std::uint64_t waits = waits_;
        const Limiter next = make("next", kNextWindow, kNextLimit);
        if (waits_ != waits) ++delayed_;
        const Nanos t = now();
        const Units used = me_.usage(next, t).used;
        CHECK((used == 0 || used == kTaken));
        if (told && t - prepared_ < kNextWindow) CHECK(used == kTaken);
        CHECK(take_all(next, t) == kNextLimit - used);
        CHECK(ask(old_, t).refusal.reason == Refused::evicted);
        // All others are as they were, under one name each.
        for (std::size_t i = 0; i < busy_.size(); ++i) {
            const Limiter found = busy(i + 1);
            REQUIRE(found.record == busy_[i].record);
            REQUIRE(found.generation == busy_[i].generation);
            REQUIRE(me_.look(found, t).used == 1);
        }
        std::set<std::string> names;
        const auto all = segment_.limiters(t);
        for (const LimiterInfo& limiter : all) names.insert(limiter.scope + ":" + limiter.name);
        CHECK(all.size() == busy_.size() + 1);
        CHECK(names.size() == all.size());
    }

    Admission ask(const Limiter& limiter, Nanos t) {
        const Charge charge{limiter, 1};
        return me_.admit({{&charge, 1}, {}}, t);
    }

    Units take_all(const Limiter& limiter, Nanos t) {
        Units taken = 0;
        while (taken < 100 && ask(limiter, t).admitted()) ++taken;
        return taken;
    }

    const ScratchName scratch_;
    const Shared<Board> board_;
    Segment segment_ = Segment::open(scratch_.options());
    Participant me_ = segment_.join("survivor");
    std::vector<Limiter> busy_;
    Limiter old_;
    std::uint64_t waits_ = 0;
    std::uint64_t delayed_ = 0;
    Nanos prepared_{};
};

}  // namespace

TEST_CASE("killed at every step of making a limiter in the place of an idle one") {
    if (cannot_trace()) return;
    CHECK(EvictionStage().kill_after_each() > 100);
}

}  // namespace weir::shm::test
