// The words of a window limiter, and what is said about them. What they mean: window.hpp.
//
// Thread safety: all of it.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::shm {

/// The sizes of a window limiter. The model tests use smaller ones.
template <unsigned Ticks, unsigned Ring, unsigned TagBits>
struct WindowGeometry {
    static constexpr unsigned kTicks = Ticks;
    static constexpr unsigned kRing = Ring;
    static constexpr unsigned kTagBits = TagBits;
    static constexpr unsigned kUnitBits = 64 - TagBits;
    static constexpr std::uint64_t kUnitMask = (std::uint64_t{1} << kUnitBits) - 1;
    static constexpr std::uint64_t kTagMask = (std::uint64_t{1} << kTagBits) - 1;

    /// The window spans Ticks + 1 slots; one more lets the head move on while the oldest is still read.
    static_assert(Ring >= Ticks + 2);
    static_assert(TagBits >= 3 && TagBits <= 32);
};

/// 62 ticks leave 62/63 = 98.4 % of the limit to a saturated limiter, and let the ring be 64 slots: an index
/// is a mask, and a limiter fits in 1 KiB of rings. A tag of 24 bits and units of 40 bits share a word:
/// limits up to 2^39, more than 5 * 10^11.
using StandardGeometry = WindowGeometry<62, 64, 24>;

/// The shared words of one limiter. Zero bytes are not a valid limiter: call `reset` before the first use.
template <class WordT, class G>
struct WindowState {
    using Geometry = G;

    WordT head;
    WordT epoch;
    WordT limit;  // above the unit bits: see parameter.hpp
    WordT credited;
    WordT edge[G::kRing];
    WordT back[G::kRing];
};

/// Units that the window may hold.
template <class WordT, class G>
std::uint64_t limit_of(const WindowState<WordT, G>& state) noexcept {
    // ORDER(limit): acquire, so that who finds `life` unchanged afterwards has read the limit of that life.
    return state.limit.load(std::memory_order_acquire) & G::kUnitMask;
}

enum class Verdict : std::uint8_t {
    admitted,
    over_limit,   ///< refused now; `earliest` says when the same units would pass
    never_fits,   ///< more units than the limit: no waiting helps
    corrupt,      ///< the words hold what no run of this code leaves; refused
    evicted,      ///< the words are no longer those that the caller means (guarded_window.hpp)
};

/// What `admit` decided, and the tick in which the units are charged (needed to give them back).
struct Decision {
    Verdict verdict;
    std::uint64_t tick;
};

/// What `charge` did: `units` is less than was asked for if the window cannot hold as much.
struct Charged {
    Verdict verdict;
    std::uint64_t tick;
    std::uint64_t units;
};

/// What a limiter holds at one moment.
struct Usage {
    std::uint64_t limit;
    std::uint64_t used;  ///< may exceed `limit` after `charge`, or after the limit was lowered
    std::uint64_t tick;  ///< the tick that this was read in
};

/// A count of the head's CASes that another process beat. Stress tests must see it rise.
struct Contention {
    std::uint64_t retries = 0;
};

}  // namespace weir::shm
