// The window limiter: at most `limit` units in any interval as long as the window, over all processes.
//
// Representation. Time is cut into ticks of window / kTicks (tick_scale.hpp).
//   head     (tag of tick h, C): C counts all units ever admitted, and one for each long idle time, modulo
//            2^kUnitBits
//   epoch    the full number of a tick that is never before h; it tells the tag's wrap-around apart
//   edge[k]  (tag of tick k, the value of C when tick k began)
//   back[k]  (tag of tick k, units given back that had been admitted in tick k)
//   credited the latest tick that any units were given back to; only spares a look at `back`
//   limit    units per window; may change at any time. Above the unit bits: see parameter.hpp
//
// Invariants.
//   I1  The head's tick never goes back, and C never shrinks: no (tag, C) is ever seen twice.
//   I2  h <= epoch <= h + kStrideMax: whoever moves the head raises the epoch first, and a long way is gone
//       in several strides. So a tag stands for one tick only, of the head as of every slot.
//   I3  While the head stands at h, edge[k] is exact for every k in (h - kRing, h], but for slots that a
//       mover has begun to fill for a later head; then epoch > h, which readers check.
//   I4  A value in edge[k] only grows while the head is before k, and never exceeds C at the start of k.
//   I5  A unit in back[k] is a unit of C admitted in tick k: the mover empties the slot before the head gets
//       to k. Charge and credit leave the window together.
//   I6  credited never shrinks, and is raised to k before anything is given back to tick k. So it is before a
//       window's first tick only if `back` holds nothing for that window.
//   I7  C - edge[e - kTicks] never exceeds kUnitMask, however much is given back: it cannot run round.
// Usage in tick e = C - edge[e - kTicks] - sum of back[e - kTicks .. e]. It covers between one window and one
// window plus one tick, so the error is on the safe side.
//
// Progress: lock-free. A CAS fails only because another process changed the word, which is its progress;
// a process that dies anywhere leaves work that the next caller repeats from the words alone. Nobody waits.
//
// Everything read from these words is input: a value that no run of this code could have left is reported
// (Verdict::corrupt) and refuses; the ring repairs itself as it moves on.
//
// What it does not promise: order among waiting processes, and anything to a process that lags behind by
// 2^kTagBits ticks between two of its own instructions.
//
// docs/design/limiter.md has the argument at length; tests/model explores it exhaustively.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "shm/window_words.hpp"

namespace weir::shm {

/// The algorithm: static functions over the words, and no state of its own. Ticks are full numbers from
/// TickScale; a caller whose clock lags behind the head is served at the head's tick.
template <class State>
class Window {
    using G = typename State::Geometry;
    static constexpr auto kAcquire = std::memory_order_acquire;
    static constexpr auto kRelease = std::memory_order_release;
    static constexpr auto kAcqRel = std::memory_order_acq_rel;
    static constexpr auto kRelaxed = std::memory_order_relaxed;

    /// A mover may be overtaken again and again, but never this often by honest peers: every lost round is a
    /// round of somebody else's progress. The bound turns a corrupted ring into a refusal, not a spin.
    static constexpr unsigned kRoundsMax = 1u << 20;

    /// A slot that the move reuses was filled for a tick after h - kRing; its tag must not come again.
    static constexpr std::uint64_t kStrideMax = G::kTagMask + 1 - G::kRing;

 public:
    static constexpr std::uint64_t kUnitsMax = (G::kUnitMask >> 1);

    /// Makes `state` an empty limiter at `tick`. Only while nobody else uses it.
    static void reset(State& state, std::uint64_t tick, std::uint64_t limit) noexcept {
        for (std::uint64_t k = tick + 1 - G::kRing; k <= tick; ++k) {
            state.edge[k % G::kRing].store(pack(k, 0), kRelaxed);  // ORDER(publish): see below
            state.back[k % G::kRing].store(pack(k, 0), kRelaxed);  // ORDER(publish): see below
        }
        state.limit.store(limit, kRelaxed);  // ORDER(publish): see below
        state.credited.store(0, kRelaxed);   // ORDER(publish): see below
        state.epoch.store(tick, kRelaxed);   // ORDER(publish): see below
        // ORDER(publish): whoever hands the limiter out publishes it with a release of its own (the
        // directory's state word); the pair is there, so plain stores do here.
        state.head.store(pack(tick, 0), kRelaxed);
    }

    /// What `offer` found: whether the units would pass, in which tick, and the head that says so.
    struct Offer {
        Verdict verdict;
        std::uint64_t tick;
        std::uint64_t head;
    };

    /// Always sure that the words are its own.
    struct Own {
        bool operator()() const noexcept { return true; }
    };

    /// Admits `units` at tick `now`, or refuses and writes nothing. `units` >= 1. `meant` says whether the
    /// words are still those that the caller means; it is asked between reading the head and changing it.
    template <class Meant = Own>
    static Decision admit(State& state, std::uint64_t now, std::uint64_t units, Contention& contention,
                          const Meant& meant = {}) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            const Offer offered = offer(state, now, units);
            if (!meant()) return {Verdict::evicted, now};
            if (offered.verdict != Verdict::admitted) return {offered.verdict, offered.tick};
            if (take(state, offered, units)) return {Verdict::admitted, offered.tick};
            ++contention.retries;
        }
        return {Verdict::corrupt, now};
    }

    /// The first half of `admit`: would `units` pass at tick `now`? Charges nothing, but moves the ring up to
    /// `now` if need be. Whoever spans several limiters asks all of them first.
    static Offer offer(State& state, std::uint64_t now, std::uint64_t units) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            const View view = view_at(state, now);
            if (view.stale) continue;
            if (view.corrupt) break;
            // After the head's acquire: once it was lowered and the head has changed, that is seen.
            const std::uint64_t limit = limit_of(state);
            if (units > limit) return {Verdict::never_fits, view.tick, view.head};
            if (view.gross + units <= limit || fits(state, view, units, limit)) {
                return {Verdict::admitted, view.tick, view.head};
            }
            // A refusal has no CAS to prove it: credits may have been missing that a mover has emptied.
            if (!changed(state, view)) return {Verdict::over_limit, view.tick, view.head};
        }
        return {Verdict::corrupt, now, 0};
    }

    /// The second half: charges what was offered, if the head is still the one that said so. If not, the
    /// offer is void and nothing has happened.
    static bool take(State& state, const Offer& offered, std::uint64_t units) noexcept {
        // ORDER(head): release hands on what this process saw of the ring to whoever acquires the head;
        // as a read-modify-write it also continues the mover's release sequence.
        std::uint64_t expected = offered.head;
        return state.head.cas(expected, add(offered.head, units), kAcqRel, kRelaxed);
    }

    /// Charges `units` whatever the limit says, at tick `now`: cost that is known only afterwards. The debt
    /// holds later requests back. A debt so large that the window's sum would wrap is cut at the largest that
    /// can be told, and the result says so. `meant` as for admit.
    template <class Meant = Own>
    static Charged charge(State& state, std::uint64_t now, std::uint64_t units, Contention& contention,
                          const Meant& meant = {}) noexcept {
        return charge_by(state, now, contention, meant, [&](auto&) { return std::optional(units); });
    }

    /// Charges what is free beyond `left` units of the limit. In one step: of several, one charges it.
    template <class Meant = Own>
    static Charged leave_only(State& state, std::uint64_t now, std::uint64_t left, Contention& contention,
                              const Meant& meant = {}) noexcept {
        const auto free = [&](const View& view) -> std::optional<std::uint64_t> {
            const std::uint64_t credit = credits_since(state, view.tick - G::kTicks, view.tick);
            const std::uint64_t limit = limit_of(state);
            const std::uint64_t used = view.gross > credit ? view.gross - credit : 0;
            if (left >= limit || used >= limit - left) return std::nullopt;
            return limit - left - used;
        };
        return charge_by(state, now, contention, meant, free);
    }

    /// Changes the head and nothing else: an admission that has read it before loses its CAS and looks again,
    /// at the limit too. One unit is charged and given back; in between one unit may be refused in vain.
    /// Where not even one can be charged, nobody is admitted either. `meant` as for admit.
    template <class Meant = Own>
    static void supersede(State& state, std::uint64_t now, Contention& contention,
                          const Meant& meant = {}) noexcept {
        const Charged one = charge(state, now, 1, contention, meant);
        if (one.units != 0) give_back(state, one.tick, one.units);
    }

    /// All units ever charged, modulo the word's unit field.
    static std::uint64_t charged(const State& state) noexcept {
        return units_of(state.head.load(kRelaxed));  // ORDER(head): one word, read by itself
    }

    /// Gives back `units` of what was charged in `tick`. If the ring has moved past that tick the charge has
    /// left the window by itself, and nothing is written. The caller returns no more than it charged, once.
    static void give_back(State& state, std::uint64_t tick, std::uint64_t units) noexcept {
        // ORDER(epoch): whoever has a ticket of `tick` has seen an epoch not before it. A later one can only
        // show that the charge has left the window; what the tag then says does not matter.
        if (state.epoch.load(kRelaxed) - tick > G::kTicks) return;
        raise_credited(state, tick);
        WordT_& slot = state.back[tick % G::kRing];
        // ORDER(back): a credit is only ever used together with a head that its charge has changed already:
        // a reader that sees the credit but not the charge loses its CAS on the head. No order is needed.
        std::uint64_t found = slot.load(kRelaxed);
        while (tag_of(found) == (tick & G::kTagMask)) {
            if (slot.cas(found, add(found, units), kRelaxed, kRelaxed)) return;  // ORDER(back)
        }
    }

    /// What is used at tick `now`. Writes nothing, so a read-only mapping will do. Beside others that charge
    /// and give back: no less than there was used at some moment of the call.
    static Usage look(const State& state, std::uint64_t now) noexcept {
        const std::uint64_t limit = limit_of(state);
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            Still still = still_at(state, now);
            // Credits before the head: what is given back later is not held against what is charged later.
            const std::uint64_t credit = credits_since(state, still.tick - G::kTicks, still.tick);
            still.read_head(state);
            const std::uint64_t gross = still.gross_since(state, still.tick - G::kTicks);
            if (still.moved(state)) continue;
            return {limit, gross > credit ? gross - credit : 0, still.tick};
        }
        return {limit, limit, now};
    }

    /// The first tick, `now` or later, in which `units` would pass if nobody else took any; 0 if they never
    /// fit. Exact: one tick earlier they would be refused. Writes nothing.
    static std::uint64_t earliest(const State& state, std::uint64_t now, std::uint64_t units) noexcept {
        const std::uint64_t limit = limit_of(state);
        if (units > limit) return 0;
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            Still still = still_at(state, now);
            const std::uint64_t oldest = still.tick - G::kTicks;
            const Credits credits = credits_of(state, oldest);
            still.read_head(state);
            // Drop the oldest tick, one after the other, until what is left leaves room.
            unsigned dropped = 0;
            for (; dropped <= G::kTicks; ++dropped) {
                const std::uint64_t gross = still.gross_since(state, oldest + dropped);
                const std::uint64_t back = credits.since[dropped];
                const std::uint64_t used = gross > back ? gross - back : 0;
                if (used + units <= limit && gross + units <= G::kUnitMask) break;
            }
            if (!still.moved(state)) return still.tick + dropped;
        }
        return now + G::kTicks + 1;
    }

    /// The first tick, `now` or later, in which nothing of what is used now counts any more: `earliest` of
    /// the whole limit, but looked for from the newest tick on, which under load ends at once.
    static std::uint64_t empty_at(const State& state, std::uint64_t now) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            Still still = still_at(state, now);
            still.read_head(state);
            unsigned kept = G::kTicks + 1;
            std::uint64_t credit = 0;
            for (; kept != 0; --kept) {
                const std::uint64_t from = still.tick - G::kTicks + kept - 1;
                credit += credit_at(state, from);
                if (still.gross_since(state, from) > credit) break;
            }
            // Credits came after the head: with the head as it was, they are of charges that are in it.
            if (!still.moved(state) && !still.charged(state)) return still.tick + kept;
        }
        return now + G::kTicks + 1;
    }

 private:
    using WordT_ = std::remove_reference_t<decltype(std::declval<State&>().head)>;

    static constexpr std::uint64_t pack(std::uint64_t tick, std::uint64_t units) noexcept {
        return (tick & G::kTagMask) << G::kUnitBits | (units & G::kUnitMask);
    }
    static constexpr std::uint64_t tag_of(std::uint64_t word) noexcept { return word >> G::kUnitBits; }
    static constexpr std::uint64_t units_of(std::uint64_t word) noexcept { return word & G::kUnitMask; }
    static constexpr std::uint64_t add(std::uint64_t word, std::uint64_t units) noexcept {
        return (word & ~G::kUnitMask) | ((word + units) & G::kUnitMask);
    }
    /// Units from `older` to `newer`, modulo the word's unit field.
    static constexpr std::uint64_t grown(std::uint64_t older, std::uint64_t newer) noexcept {
        return (newer - older) & G::kUnitMask;
    }
    /// The full number of the tick that the head's tag stands for: the latest one not after `epoch` (I2).
    static constexpr std::uint64_t full_tick(std::uint64_t head, std::uint64_t epoch) noexcept {
        return epoch - ((epoch - tag_of(head)) & G::kTagMask);
    }

    /// The head at the caller's tick, or why there is none.
    struct View {
        std::uint64_t head;   // the head word that `gross` belongs to
        std::uint64_t epoch;  // the epoch that it was read with
        std::uint64_t tick;   // its tick, in full
        std::uint64_t gross;  // units in the window, credits not yet subtracted
        bool stale = false;   // somebody moved the ring meanwhile: look again
        bool corrupt = false;
    };

    static View view_at(State& state, std::uint64_t now) noexcept {
        // ORDER(head): acquires the edges that the mover filled before its release of the head.
        const std::uint64_t head = state.head.load(kAcquire);
        // ORDER(epoch): read after the head (the acquire above holds it there), so I2 makes the tag unique;
        // acquire pairs with the release in raise_epoch.
        const std::uint64_t epoch = state.epoch.load(kAcquire);
        View view{head, epoch, now > epoch ? now : epoch, 0};
        if (full_tick(head, epoch) != view.tick) {
            move(state, view.tick, head, epoch);
            view.stale = true;
            return view;
        }
        // ORDER(head): the edge was filled before the head got here; the acquire above makes it visible.
        const std::uint64_t edge = state.edge[(view.tick - G::kTicks) % G::kRing].load(kAcquire);
        if (tag_of(edge) != ((view.tick - G::kTicks) & G::kTagMask)) {
            // A mover has reused the slot, or nobody could have left this.
            view.stale = changed(state, view);
            view.corrupt = !view.stale;
            return view;
        }
        view.gross = grown(units_of(edge), units_of(head));
        return view;
    }

    /// Whether the ring or the head has moved since `view` was taken. Without that, what was read of the
    /// slots in between is one moment's truth.
    static bool changed(const State& state, const View& view) noexcept {
        // ORDER(epoch): the acquire of the slots keeps this behind them, and a slot that a mover has reused
        // is seen together with the epoch that it had raised.
        if (state.epoch.load(kAcquire) != view.epoch) return true;
        // ORDER(head): a head read long before its epoch may stand for an earlier tick with the same tag.
        return state.head.load(kAcquire) != view.head;
    }

    /// Where a move from `from` on the way to `to` ends, and with how many units more than the head has.
    struct Stride {
        std::uint64_t to;
        std::uint64_t more;
    };

    /// A long way adds one unit to all edges, so that no head comes twice although tags may. All movers from
    /// one head must agree on every edge that they may both come to: one that is slow may still swap an edge
    /// when another has already moved the head. So a way without the unit ends before any edge of a way with
    /// it begins, and what is neither short nor long is gone in two.
    static constexpr Stride stride(std::uint64_t from, std::uint64_t to) noexcept {
        constexpr std::uint64_t kShort = G::kRing - 1;  // its last edge is from + kShort
        constexpr std::uint64_t kLong = 2 * G::kRing;   // its first edge is from + kLong - kRing + 1
        const std::uint64_t way = to - from;
        if (way > kStrideMax) return {from + kStrideMax, 1};
        if (way >= kLong) return {to, 1};
        return {way > kShort ? from + kShort : to, 0};
    }
    static_assert(kStrideMax >= 2 * G::kRing);

    /// Moves the head from the word `head` to tick `wanted` >= epoch, or one stride towards it, filling the
    /// edges in between. Gives up as soon as another process got further; the caller looks again.
    /// Out of line: once in a tick, while all else here is on the path of every decision.
    [[gnu::noinline]] static void move(State& state, std::uint64_t wanted, std::uint64_t head,
                                       std::uint64_t epoch) noexcept {
        const std::uint64_t from = full_tick(head, epoch);
        const auto [to, more] = stride(from, wanted);
        // ORDER(head): after the epoch was read: the head that `from` was told by still stands, so the new
        // epoch is no more than a stride from it.
        if (state.head.load(kAcquire) != head) return;
        // The epoch is ahead of this stride if somebody was on a longer way from an earlier head.
        const std::uint64_t mark = to > epoch ? to : epoch;
        if (!raise_epoch(state, epoch, mark)) return;
        // After more than the ring, every tick that can still be asked for begins with the same C.
        const std::uint64_t first = to - from >= G::kRing ? to + 1 - G::kRing : from + 1;
        const std::uint64_t units = units_of(head) + more;
        for (std::uint64_t k = first; k <= to; ++k) {
            if (!fill(state, state.edge[k % G::kRing], pack(k, units), kWhole, mark, mark - k, head)) return;
            if (!fill(state, state.back[k % G::kRing], pack(k, 0), kTagOnly, mark, mark - k, head)) return;
        }
        // ORDER(head): release publishes the edges to whoever acquires the head.
        state.head.cas(head, pack(to, units), kAcqRel, kRelaxed);
    }

    /// Raises the epoch from `seen` to `to`; false if another process changed it meanwhile.
    static bool raise_epoch(State& state, std::uint64_t seen, std::uint64_t to) noexcept {
        if (seen == to) return true;
        // ORDER(epoch): release, so that a slot filled after this is never seen before it.
        return state.epoch.cas(seen, to, kAcqRel, kRelaxed);
    }

    /// Which bits of a slot must agree for it to be filled: an edge is its value; a back slot, once it has
    /// its tag, collects credits that must stay.
    static constexpr std::uint64_t kWhole = ~std::uint64_t{0};
    static constexpr std::uint64_t kTagOnly = ~G::kUnitMask;

    /// Sets `slot` to `wanted` as part of a move of `head` under the epoch `mark`, which is `ahead` ticks
    /// after that of the slot. False if the move is out of date.
    static bool fill(State& state, WordT_& slot, std::uint64_t wanted, std::uint64_t compared,
                     std::uint64_t mark, std::uint64_t ahead, std::uint64_t head) noexcept {
        // ORDER(edge): acquire pairs with the release below: a slot that another mover filled is seen
        // together with the epoch that it had raised.
        std::uint64_t found = slot.load(kAcquire);
        while (((found ^ wanted) & compared) != 0) {
            // What a way that was given up has filled for a later tick stays: the window that ends there does
            // not reach back to this one, and a slot whose tag went back might hold one word twice.
            const std::uint64_t later = (tag_of(found) - tag_of(wanted)) & G::kTagMask;
            if (later != 0 && later <= ahead) return true;
            // A mover to a later tick raised the epoch before it touched a slot. With the epoch and the
            // head unchanged *after* the slot was read, what was read is older than this move, and the CAS
            // below replaces just that.
            if (state.epoch.load(kAcquire) != mark) return false;  // ORDER(epoch): pairs with raise_epoch
            if (state.head.load(kAcquire) != head) return false;   // ORDER(head): no edge for an old C
            // ORDER(edge): release, see the load above.
            if (slot.cas(found, wanted, kAcqRel, kAcquire)) return true;
        }
        return true;
    }

    /// Raises `credited` to `tick` if it is before (I6).
    static void raise_credited(State& state, std::uint64_t tick) noexcept {
        // ORDER(credited): a reader that misses the raise also misses the credit after it, as if it had come
        // before both: it refuses, and that is safe. Who is told of the give-back sees the raise.
        std::uint64_t found = state.credited.load(kRelaxed);
        while (found < tick && !state.credited.cas(found, tick, kRelaxed, kRelaxed)) {  // ORDER(credited)
        }
    }

    /// Charges what `wanted` makes of the window, as far as the sum can be told; nothing if it is empty.
    template <class Meant, class Wanted>
    static Charged charge_by(State& state, std::uint64_t now, Contention& contention, const Meant& meant,
                             const Wanted& wanted) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            const View view = view_at(state, now);
            if (!meant()) return {Verdict::evicted, now, 0};
            if (view.stale) continue;
            if (view.corrupt) break;
            const std::optional<std::uint64_t> units = wanted(view);
            if (!units) return {Verdict::admitted, view.tick, 0};
            const std::uint64_t room = G::kUnitMask - view.gross;
            const std::uint64_t charged = *units < room ? *units : room;
            if (take(state, {Verdict::admitted, view.tick, view.head}, charged)) {
                return {Verdict::admitted, view.tick, charged};
            }
            ++contention.retries;
        }
        return {Verdict::corrupt, now, 0};
    }

    /// Whether `units` pass once what was given back in the window is subtracted.
    static bool fits(const State& state, const View& view, std::uint64_t units,
                     std::uint64_t limit) noexcept {
        const std::uint64_t sum = credits_since(state, view.tick - G::kTicks, view.tick);
        if (sum > view.gross) return false;  // such a sum is not ours
        return view.gross - sum + units <= limit && view.gross + units <= G::kUnitMask;  // I7
    }

    /// Units given back of what was charged in the ticks `from` to `to`.
    static std::uint64_t credits_since(const State& state, std::uint64_t from, std::uint64_t to) noexcept {
        // ORDER(credited): as in raise_credited.
        if (state.credited.load(kRelaxed) < from) return 0;
        std::uint64_t sum = 0;
        for (std::uint64_t k = from; k <= to; ++k) sum += credit_at(state, k);
        return sum;
    }

    static std::uint64_t credit_at(const State& state, std::uint64_t k) noexcept {
        // ORDER(edge): acquire pairs with the release of the mover that emptied the slot: who sees that sees
        // the epoch that it had raised.
        const std::uint64_t word = state.back[k % G::kRing].load(kAcquire);
        return tag_of(word) == (k & G::kTagMask) ? units_of(word) : 0;
    }

    /// What was given back in the window that begins with tick `oldest`, summed up for every part of it.
    struct Credits {
        std::uint64_t since[G::kTicks + 2];  // [i]: of tick oldest + i and later
    };

    static Credits credits_of(const State& state, std::uint64_t oldest) noexcept {
        Credits credits;
        const bool any = state.credited.load(kRelaxed) >= oldest;  // ORDER(credited): as in credits_since
        credits.since[G::kTicks + 1] = 0;
        for (unsigned i = G::kTicks + 1; i-- > 0;) {
            credits.since[i] = credits.since[i + 1] + (any ? credit_at(state, oldest + i) : 0);
        }
        return credits;
    }

    /// The state as a reader that may not write sees it: the head may be behind `tick`.
    struct Still {
        std::uint64_t epoch;
        std::uint64_t tick;           // now, or the epoch if that is later
        std::uint64_t units = 0;      // C
        std::uint64_t head_tick = 0;  // where the head stands

        void read_head(const State& state) noexcept {
            const std::uint64_t head = state.head.load(kAcquire);  // ORDER(head): as in view_at
            units = units_of(head);
            head_tick = full_tick(head, epoch);
        }

        /// Units admitted in tick `from` and later.
        std::uint64_t gross_since(const State& state, std::uint64_t from) const noexcept {
            if (from > head_tick) return 0;
            // ORDER(edge): as in fill.
            const std::uint64_t edge = state.edge[from % G::kRing].load(kAcquire);
            return tag_of(edge) == (from & G::kTagMask) ? grown(units_of(edge), units) : 0;
        }

        /// Whether anything was charged since read_head.
        bool charged(const State& state) const noexcept {
            return units_of(state.head.load(kAcquire)) != units;  // ORDER(head): C never shrinks (I1)
        }

        /// Whether a mover may have reused a slot, or moved the head, since `epoch` was read.
        bool moved(const State& state) const noexcept {
            return state.epoch.load(kAcquire) != epoch;  // ORDER(epoch): pairs with raise_epoch
        }
    };

    static Still still_at(const State& state, std::uint64_t now) noexcept {
        const std::uint64_t epoch = state.epoch.load(kAcquire);  // ORDER(epoch): as in view_at
        return {epoch, now > epoch ? now : epoch};
    }
};

}  // namespace weir::shm
