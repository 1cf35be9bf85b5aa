// A window limiter's record as decisions use it.
//
// Internal to shm/. Thread safety: all of it.
#pragma once

#include "shm/guarded_window.hpp"
#include "shm/layout.hpp"

namespace weir::shm {

using StandardState = WindowState<Word, StandardGeometry>;
using StandardWindow = Window<StandardState>;
using WindowGuard = GuardedWindow<WindowRecord>;

/// For the auditor, who judges decisions from `now` on by the limit.
inline void note_limit_since(WindowRecord& record, Nanos now) noexcept {
    // ORDER(limit): on its own; a late one only narrows what the audit covers.
    record.limit_since.store(static_cast<std::uint64_t>(now.count()), std::memory_order_relaxed);
}

/// Whether `units` would pass at `tick`. Writes nothing. The common case costs two cache lines.
inline Verdict peek(const WindowRecord& record, std::uint64_t tick, Units units) noexcept {
    using G = StandardGeometry;
    const StandardState& state = record.state;
    const std::uint64_t limit = limit_of(state);
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
