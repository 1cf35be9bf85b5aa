// The rules by which requests of several processes wait in one line: who goes first, and who is woken.
//
// Representation. A line has one word for each participant, its *front*: the place (priority, then
// arrival) of the one among its waiters that goes first, or 0. Its owner alone writes it. Who stands
// behind that one its owner keeps to itself: so any number may wait in a bounded number of words, and
// the first of all fronts is the first of all.
//
// Invariants.
//   L1  A front stands for a waiter of its owner before which none of its others goes. It is replaced
//       by one store, so at no moment do those behind it seem to be gone.
//   L2  A participant lets a waiter try only after it has found no front that goes before it, other
//       than those of participants that do not look (L3). So once its front is there a request is
//       overtaken by none of a worse priority, and by none of its own that came kArrivalSlack later.
//   L3  A front counts while its owner looks after its waiters: at least every kSilentMax. Whoever
//       buries a dead participant clears its fronts, which mostly is sooner.
//   L4  Who goes to sleep has armed its bell before it looked. Who gives capacity back, or leaves the
//       front, reads the bell afterwards. Both are read-modify-writes of one word, so one of them
//       comes first: either the sleeper has seen the change, or its bell is rung.
// A death at any instruction leaves a front (L3), or a bell that was taken and not rung: the sleeper
// looks again by itself before long.
//
// The slack lets processes whose requests came at about the same time serve theirs side by side,
// rather than hand the turn to and fro for each.
//
// Internal to shm/, but for Place. Thread and process safety: all of it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "shm/clock.hpp"

namespace weir::shm {

/// Those of one priority that came less than this apart have come at the same time.
inline constexpr Nanos kArrivalSlack = std::chrono::milliseconds(10);

/// Who has not looked for so long is passed over: it is stopped, or dead and not yet buried.
inline constexpr Nanos kSilentMax = std::chrono::milliseconds(900);

/// A waiter's place: by priority, lower first, then by arrival (shm::now(), kept to 256 ns).
struct Place {
    std::uint8_t priority = 0;
    Nanos arrival{};

    static constexpr unsigned kArrivalBits = 56;

    /// Never 0.
    constexpr std::uint64_t packed() const noexcept {
        const auto arrived = static_cast<std::uint64_t>(std::max<Nanos>(arrival, Nanos(0)).count()) >> 8;
        return std::uint64_t{priority} << kArrivalBits | std::max<std::uint64_t>(arrived, 1);
    }
    static constexpr Place unpacked(std::uint64_t word) noexcept {
        constexpr std::uint64_t kArrival = (std::uint64_t{1} << kArrivalBits) - 1;
        return {static_cast<std::uint8_t>(word >> kArrivalBits),
                Nanos(static_cast<std::int64_t>((word & kArrival) << 8 & INT64_MAX))};
    }
};

/// Whether `one` must be served before `other`. Not an order: of those that came at the same time
/// neither must.
constexpr bool goes_before(const Place& one, const Place& other) noexcept {
    if (one.priority != other.priority) return one.priority < other.priority;
    return one.arrival < other.arrival && other.arrival - one.arrival >= kArrivalSlack;
}

/// Whether the fronts of a participant count that looked last at `looked`, which may be nonsense.
constexpr bool at_work(std::uint64_t looked, Nanos now) noexcept {
    const auto time = static_cast<std::uint64_t>(now.count());
    return (time > looked ? time - looked : looked - time) < static_cast<std::uint64_t>(kSilentMax.count());
}

/// What a participant wants to be woken for.
enum class Bell : std::uint64_t {
    silent = 0,  ///< nothing: it is awake, or has been rung
    behind = 1,  ///< when it may have come to the front of a line
    first = 2,   ///< and when capacity has come back
};

/// Static functions over the word; a template so that a test can put a scheduler in its place.
template <class WordT>
struct BellPull {
    /// Before looking.
    static void arm(WordT& bell) noexcept {
        std::uint64_t found = value(Bell::silent);
        // Others only ever make it silent, so the third round at the latest succeeds.
        for (unsigned round = 0; round < 4; ++round) {
            // ORDER(bell): acquire, what those who rang before have changed is seen by the look; release,
            // who rings later sees the front.
            if (bell.cas(found, value(Bell::first), std::memory_order_acq_rel, std::memory_order_relaxed))
                return;
        }
    }

    /// After looking in vain: it stands behind others everywhere.
    static void step_back(WordT& bell) noexcept {
        std::uint64_t found = value(Bell::first);
        // ORDER(bell): relaxed; nothing was done since arm() that others must see. Failure: rung already.
        bell.cas(found, value(Bell::behind), std::memory_order_relaxed, std::memory_order_relaxed);
    }

    /// Nobody waits any more.
    static void silence(WordT& bell) noexcept {
        bell.store(value(Bell::silent), std::memory_order_relaxed);  // ORDER(bell): likewise
    }

    /// After a change that may concern who waits for `what` at least. True: it must be rung.
    static bool pull(WordT& bell, Bell what) noexcept {
        // A read-modify-write that changes nothing: it takes its place among those of arm().
        std::uint64_t found = bell.fetch_add(0, std::memory_order_acq_rel);  // ORDER(bell): pairs with arm()
        if (found < value(what)) return false;
        // ORDER(bell): relaxed; the read-modify-write before has ordered it. Failure: another has rung it.
        return bell.cas(found, value(Bell::silent), std::memory_order_relaxed, std::memory_order_relaxed);
    }

 private:
    static constexpr std::uint64_t value(Bell bell) noexcept { return static_cast<std::uint64_t>(bell); }
};

}  // namespace weir::shm
