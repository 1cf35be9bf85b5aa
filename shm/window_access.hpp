// A window limiter's record as decisions use it: its ticks, its guard against eviction and garbage.
//
// Internal to shm/. Thread safety: all of it.
#pragma once

#include "shm/layout.hpp"
#include "shm/tick_scale.hpp"

namespace weir::shm {

using StandardState = WindowState<Word, StandardGeometry>;
using StandardWindow = Window<StandardState>;

/// Ticks stay far below this in any life of a record; a word beyond it is garbage.
inline constexpr std::uint64_t kTickMax = std::uint64_t{1} << 62;

/// Maps between times and one record's ticks.
struct RecordTicks {
    TickScale scale;
    std::uint64_t base;

    explicit RecordTicks(const WindowRecord& record) noexcept
        // ORDER(parameters): these change only between lives. Acquire: who looks at `life` after these and
        // finds it unchanged has read parameters of that life, and not of the next one's making.
        : scale(TickScale::from_reciprocal(record.reciprocal.load(std::memory_order_acquire))),
          base(record.base.load(std::memory_order_acquire)) {}  // ORDER(parameters)

    std::uint64_t at(Nanos now) const noexcept { return scale.tick_at(now) + base; }
    Nanos start_of(std::uint64_t tick) const noexcept { return scale.start_of(tick - base); }
};

/// Whether the record is still in the life that a handle was made for.
inline bool still_lives(const WindowRecord& record, std::uint64_t generation) noexcept {
    // ORDER(life): acquire; pairs with the release that made it live, and with the one that ends
    // it.
    return record.life.load(std::memory_order_acquire) == generation;
}

/// Whether the words can be ticks at all, so that no loop over them runs away.
inline bool sane(const WindowRecord& record, std::uint64_t tick) noexcept {
    // ORDER(epoch): only a range check; the window reads it again.
    return tick < kTickMax && record.state.epoch.load(std::memory_order_relaxed) < kTickMax;
}

/// What all hosts together may use of a shared limit; 0 if it is not shared.
inline Units full_of(const WindowRecord& record) noexcept {
    return record.lease.full.load(std::memory_order_relaxed);  // ORDER(limit): a parameter on its own
}

/// Whether `units` would pass at `tick`. Writes nothing. The common case costs two cache lines.
inline Verdict peek(const WindowRecord& record, std::uint64_t tick, Units units) noexcept {
    using G = StandardGeometry;
    const StandardState& state = record.state;
    // ORDER(limit): a parameter on its own.
    const std::uint64_t limit = state.limit.load(std::memory_order_relaxed);
    if (units > limit) return Verdict::never_fits;
    // ORDER(head): acquire; as in Window::view_at.
    const std::uint64_t head = state.head.load(std::memory_order_acquire);
    if (head >> G::kUnitBits == (tick & G::kTagMask)) {
        const std::uint64_t from = tick - G::kTicks;
        // ORDER(edge): acquire; the tag says whether the slot is the one meant.
        const std::uint64_t edge = state.edge[from % G::kRing].load(std::memory_order_acquire);
        const std::uint64_t gross = (head - edge) & G::kUnitMask;
        if (edge >> G::kUnitBits == (from & G::kTagMask) && gross + units <= limit) {
            return Verdict::admitted;
        }
    }
    const Usage usage = StandardWindow::look(state, tick);
    return usage.used + units <= limit ? Verdict::admitted : Verdict::over_limit;
}

}  // namespace weir::shm
