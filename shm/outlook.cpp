#include "shm/outlook.hpp"

#include <algorithm>
#include <limits>

#include "shm/gauge_access.hpp"
#include "shm/lease.hpp"
#include "shm/participant_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

/// The same limiter twice in one demand asks for the sum: the units of its charges up to `index`.
Charge merged(std::span<const Charge> charges, std::size_t index) noexcept {
    Charge sum = charges[index];
    for (std::size_t i = 0; i < index; ++i) {
        if (charges[i].limiter.record != sum.limiter.record) continue;
        sum.units += std::min(charges[i].units, std::numeric_limits<Units>::max() - sum.units);
    }
    return sum;
}

/// Whether one charge would pass on its own.
bool passes(const Charge& charge, Nanos now) noexcept {
    if (!charge.limiter) return false;
    const WindowRecord& record = *charge.limiter.record;
    const std::uint64_t tick = RecordTicks(record).at(now);
    if (charge.units != 0 &&
        (!sane(record, tick) || peek(record, tick, charge.units) != Verdict::admitted)) {
        return false;
    }
    return still_lives(record, charge.limiter.generation);  // after all that was read of it
}

/// From when on one charge would pass on its own; empty if it never does.
std::optional<Nanos> passes_from(const Charge& charge, Nanos now) noexcept {
    if (!charge.limiter) return std::nullopt;
    const WindowRecord& record = *charge.limiter.record;
    const RecordTicks ticks(record);
    const std::uint64_t tick = ticks.at(now);
    if (!still_lives(record, charge.limiter.generation)) return std::nullopt;
    if (charge.units == 0) return now;
    if (!sane(record, tick)) return std::nullopt;
    // ORDER(epoch): a limiter that is ahead of this clock decides in its own tick, at once.
    const std::uint64_t today = std::max(tick, record.state.epoch.load(std::memory_order_relaxed));
    const std::uint64_t from = StandardWindow::earliest(record.state, tick, charge.units);
    if (!still_lives(record, charge.limiter.generation)) return std::nullopt;
    if (from != 0) return from > today ? ticks.start_of(from) : now;
    // It waits for a larger part of a shared limit, which depends on the other hosts.
    if (charge.units <= full_of(record.lease)) return now + kLeaseRetry;
    return std::nullopt;
}

bool has_room(const Gauge& gauge) noexcept {
    return lives(gauge) && GaugeCells::count(gauge.record->total) < max_of(*gauge.record);
}

}  // namespace

Nanos decided_at(const Demand& demand, Nanos now) noexcept {
    for (const Charge& charge : demand.charges) {
        if (!charge.limiter || charge.units == 0) continue;
        const WindowRecord& record = *charge.limiter.record;
        const RecordTicks ticks(record);
        // ORDER(epoch): only a time to ask for, the window reads it again; acquire, so that the look at
        // `life` comes after it.
        const std::uint64_t epoch = record.state.epoch.load(std::memory_order_acquire);
        if (!still_lives(record, charge.limiter.generation)) continue;
        const std::uint64_t tick = ticks.at(now);
        if (tick < epoch && epoch < kTickMax) now = ticks.start_of(epoch);
    }
    return now;
}

LimiterUsage usage_of(const WindowRecord& record, Nanos now, bool resets) noexcept {
    const RecordTicks ticks(record);
    const std::uint64_t tick = ticks.at(now);
    if (!sane(record, tick)) return {};
    const Usage usage = StandardWindow::look(record.state, tick);
    LimiterUsage result;
    const Units full = full_of(record.lease);
    result.limit = full != 0 ? full : usage.limit;
    result.lease = usage.limit;
    result.shared = full != 0;
    result.used = usage.used;
    result.remaining = usage.limit > usage.used ? usage.limit - usage.used : 0;
    if (resets && usage.used != 0) {
        const std::uint64_t empty = StandardWindow::empty_at(record.state, tick);
        result.resets_in = std::max(Nanos(0), ticks.start_of(empty) - now);
    }
    return result;
}

bool Participant::would_admit(const Demand& demand, Nanos now) const noexcept {
    if (current() == nullptr || too_many(demand)) return false;
    now = decided_at(demand, now);
    for (std::size_t i = 0; i < demand.charges.size(); ++i) {
        if (!passes(merged(demand.charges, i), now)) return false;
    }
    return std::all_of(demand.holds.begin(), demand.holds.end(), has_room);
}

std::optional<Nanos> Participant::earliest(const Demand& demand, Nanos now) const noexcept {
    if (current() == nullptr || too_many(demand)) return std::nullopt;
    if (!std::all_of(demand.holds.begin(), demand.holds.end(), has_room)) return std::nullopt;
    const Nanos asked_at = now;
    now = decided_at(demand, now);
    Nanos latest = asked_at;
    for (std::size_t i = 0; i < demand.charges.size(); ++i) {
        const std::optional<Nanos> from = passes_from(merged(demand.charges, i), now);
        if (!from) return std::nullopt;
        if (*from > now) latest = std::max(latest, *from);
    }
    return latest;
}

}  // namespace weir::shm
