// A window limiter as handles reach it: its record may come to serve another name at any time.
//
// A record is evicted when nothing in its window counts. Its parameters (the tick's length among them) then
// change, and the words go on under another name. Whoever comes with a handle of the life before must neither
// charge the new limiter nor be admitted by the old one after its end. So
//   1  parameters are read first, and `life` after them: unchanged, they are all of that life;
//   2  the head is read next, and `life` after it: unchanged, nobody had closed that head when it was read;
//   3  the head changes by a compare-and-swap from what was read. Whoever evicts has changed `life` before,
//      and then closes the head by changing it too: a charge under way either comes before the closing, and
//      the record is not idle, or it loses its compare-and-swap and comes back to 1;
//   4  ticks go on from one life to the next: what is given back with an old ticket meets other tags.
// tests/model/reuse_model_test.cpp tries every interleaving of this, and leaves out each step in turn.
//
// Internal to shm/. `Record` is WindowRecord, or what a test has in its place. Thread safety: all of it, but
// for retire() and renew(), which want the directory lock.
#pragma once

#include "shm/life.hpp"
#include "shm/parameter.hpp"
#include "shm/tick_scale.hpp"
#include "shm/window.hpp"

namespace weir::shm {

/// Ticks stay far below this in any life of a record; a word beyond it is garbage.
inline constexpr std::uint64_t kTickMax = std::uint64_t{1} << 62;

/// Maps between times and one record's ticks.
struct RecordTicks {
    TickScale scale;
    std::uint64_t base;

    template <class Record>
    explicit RecordTicks(const Record& record) noexcept
        // ORDER(parameters): these change only between lives. Acquire: who looks at `life` after these and
        // finds it unchanged has read parameters of that life, and not of the next one's making.
        : scale(TickScale::from_reciprocal(record.reciprocal.load(std::memory_order_acquire))),
          base(record.base.load(std::memory_order_acquire)) {}  // ORDER(parameters)

    std::uint64_t at(Nanos now) const noexcept { return scale.tick_at(now) + base; }
    Nanos start_of(std::uint64_t tick) const noexcept { return scale.start_of(tick - base); }
};

/// Whether the record is still in the life that a handle was made for.
template <class Record>
bool still_lives(const Record& record, std::uint64_t generation) noexcept {
    // ORDER(life): acquire; pairs with the release that made it live, and with the one that ends it.
    return record.life.load(std::memory_order_acquire) == generation;
}

/// The same, but a record that is being looked at for eviction has not ended yet.
template <class Record>
bool same_life(const Record& record, std::uint64_t generation) noexcept {
    const std::uint64_t life = record.life.load(std::memory_order_acquire);  // ORDER(life): as above
    return life == generation ||
           life == Life::pack(Life::generation_of(generation), Life::checking);
}

/// Whether the words can be ticks at all, so that no loop over them runs away.
template <class Record>
bool sane(const Record& record, std::uint64_t tick) noexcept {
    // ORDER(epoch): only a range check; the window reads it again.
    return tick < kTickMax && record.state.epoch.load(std::memory_order_relaxed) < kTickMax;
}

template <class Record>
class GuardedWindow {
    using State = decltype(Record::state);
    using G = typename State::Geometry;

 public:
    /// The same without a guard.
    using W = Window<State>;
    /// The limit's word.
    using Limit = Parameter<G::kUnitBits>;

    /// What a window said, and the time that the decision counts at: `now`, unless the limiter is ahead.
    struct Asked {
        typename W::Offer offer;
        Nanos counts_at;
    };

    /// What was decided and charged.
    struct Done {
        Verdict verdict;
        std::uint64_t tick;
        Units units;
        Nanos counts_at;
    };

    /// Would `units` pass at `now`? `W::take` charges what was offered. `units` >= 1.
    static Asked offer(Record& record, std::uint64_t generation, Nanos now, Units units) noexcept {
        const RecordTicks ticks(record);
        if (!still_lives(record, generation)) return {{Verdict::evicted, 0, 0}, now};
        const std::uint64_t tick = ticks.at(now);
        if (!sane(record, tick)) return {{Verdict::corrupt, 0, 0}, now};
        Asked asked{W::offer(record.state, tick, units), now};
        // Now and not after the compare-and-swap: by then the line may be with another process.
        if (!still_lives(record, generation)) return {{Verdict::evicted, 0, 0}, now};
        if (asked.offer.tick > tick) asked.counts_at = ticks.start_of(asked.offer.tick);
        return asked;
    }

    /// Window::admit through a handle.
    static Done admit(Record& record, std::uint64_t generation, Nanos now, Units units,
                      Contention& contention) noexcept {
        const auto lives = [&] { return still_lives(record, generation); };
        return changed(record, now, lives, [&](std::uint64_t tick, const auto& meant) {
            const Decision decision = W::admit(record.state, tick, units, contention, meant);
            return Charged{decision.verdict, decision.tick, units};
        });
    }

    /// Window::charge through a handle. What is charged while the record is looked at is charged; if it was
    /// idle and is evicted all the same, that is as if the charge had come too late.
    static Done charge(Record& record, std::uint64_t generation, Nanos now, Units units,
                       Contention& contention) noexcept {
        return changed(record, now, not_over(record, generation), [&](std::uint64_t tick, const auto& meant) {
            return W::charge(record.state, tick, units, contention, meant);
        });
    }

    /// Window::leave_only through a handle, as `charge`.
    static Done leave_only(Record& record, std::uint64_t generation, Nanos now, Units left,
                           Contention& contention) noexcept {
        return changed(record, now, not_over(record, generation), [&](std::uint64_t tick, const auto& meant) {
            return W::leave_only(record.state, tick, left, contention, meant);
        });
    }

    /// Window::give_back of what a handle's life has charged in `tick`.
    static void give_back(Record& record, std::uint64_t generation, std::uint64_t tick,
                          Units units) noexcept {
        if (same_life(record, generation)) W::give_back(record.state, tick, units);
    }

    /// Changes the limit; returns what it was, or empty if that life is over. Admissions that are under way
    /// may still go by the limit before.
    static std::optional<Units> set_limit(Record& record, std::uint64_t generation, Units limit) noexcept {
        return Limit::change(record.state.limit, generation, limit);
    }

    /// The same, but never raises it, whoever else changes it meanwhile.
    static std::optional<Units> lower_limit(Record& record, std::uint64_t generation, Units limit) noexcept {
        return Limit::lower(record.state.limit, generation, limit);
    }

    /// Window::supersede through a handle: after this nobody is admitted by a limit that was changed before.
    static void supersede(Record& record, std::uint64_t generation, Nanos now,
                          Contention& contention) noexcept {
        changed(record, now, not_over(record, generation), [&](std::uint64_t tick, const auto& meant) {
            W::supersede(record.state, tick, contention, meant);
            return Charged{Verdict::admitted, tick, 0};
        });
    }

    /// Whether nothing in the window counts, or its words are garbage. Under the directory lock.
    static bool idle(const Record& record, Nanos now) noexcept {
        const std::uint64_t tick = RecordTicks(record).at(now);
        return !sane(record, tick) || W::look(record.state, tick).used == 0;
    }

    /// Closes the head if the window is idle; false if it is not. With `life` at `checking`.
    static bool retire(Record& record, Nanos now) noexcept {
        State& state = record.state;
        std::uint64_t head = state.head.load(std::memory_order_acquire);  // ORDER(head): before the look
        if (!idle(record, now)) return false;
        // One unit more closes the head. If the compare-and-swap fails, somebody has charged, and it is not
        // idle. ORDER(head): release hands the changed `life` on to whoever reads the head from now on.
        const std::uint64_t closed = (head & ~G::kUnitMask) | ((head + 1) & G::kUnitMask);
        return state.head.cas(head, closed, std::memory_order_acq_rel, std::memory_order_relaxed);
    }

    /// Gives an empty record (`life` at `building`) other parameters, and an empty window under them.
    static void renew(Record& record, const TickScale& scale, Units limit, Nanos now) noexcept {
        State& state = record.state;
        const std::uint64_t today = scale.tick_at(now);
        std::uint64_t last = state.epoch.load(std::memory_order_relaxed);  // ORDER(epoch): lock held
        const std::uint64_t before = RecordTicks(record).at(now);
        if (last != 0 && before < kTickMax && before > last) last = before;
        // The first life of a record begins today, and so does one after garbage.
        const bool anew = last == 0 || last >= kTickMax / 2;
        const std::uint64_t first = anew ? today : last + 2ull * G::kRing;
        // ORDER(parameters): release, after `life` has said that the record is being made: see RecordTicks.
        record.reciprocal.store(scale.reciprocal(), std::memory_order_release);
        record.base.store(first - today, std::memory_order_release);  // ORDER(parameters)
        // ORDER(life): lock held
        const std::uint64_t own = Limit::pack(record.life.load(std::memory_order_relaxed), limit);
        state.limit.store(own, std::memory_order_release);  // ORDER(limit): see limit_of
        // Moving the ring on by more than its length empties it, in the same lock-free steps as any other
        // move: somebody who is still at the old life does no harm, and helps at worst.
        Contention contention;
        if (anew || W::charge(state, first, 0, contention).verdict != Verdict::admitted) {
            W::reset(state, first, own);
        }
    }

 private:
    /// Whether the handle's life goes on, though its record may be looked at for eviction.
    static auto not_over(const Record& record, std::uint64_t generation) noexcept {
        return [&record, generation] { return same_life(record, generation); };
    }

    template <class Meant, class Change>
    static Done changed(Record& record, Nanos now, const Meant& meant, const Change& change) noexcept {
        const RecordTicks ticks(record);
        if (!meant()) return {Verdict::evicted, 0, 0, now};
        const std::uint64_t tick = ticks.at(now);
        if (!sane(record, tick)) return {Verdict::corrupt, 0, 0, now};
        const Charged done = change(tick, meant);
        const Nanos counts_at = done.tick > tick ? ticks.start_of(done.tick) : now;
        return {done.verdict, done.tick, done.units, counts_at};
    }
};

}  // namespace weir::shm
