#include "shm/admission.hpp"

#include <algorithm>
#include <utility>

#include "shm/participant_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

Refused reason_of(Verdict verdict) noexcept {
    switch (verdict) {
        case Verdict::never_fits:
            return Refused::never_fits;
        case Verdict::corrupt:
            return Refused::corrupt;
        default:
            return Refused::over_limit;
    }
}

Admission refused(Refused reason, std::size_t index, bool in_holds) noexcept {
    Admission admission;
    admission.refusal = {reason, in_holds, static_cast<std::uint8_t>(index)};
    return admission;
}

Decided decided(ParticipantImpl& me, const WindowRecord& record, std::uint64_t generation,
                Recorded kind, Units units) noexcept {
    Decided what;
    what.record = me.segment->index_of(record);
    what.generation = static_cast<std::uint32_t>(Life::generation_of(generation));
    what.kind = kind;
    what.units = units;
    return what;
}

/// The time at which a charge in `tick` counts: `now`, unless the limiter was ahead of that clock.
Nanos counted_at(const RecordTicks& ticks, std::uint64_t tick, Nanos now) noexcept {
    return tick > ticks.at(now) ? ticks.start_of(tick) : now;
}

void record_charge(ParticipantImpl& me, const WindowRecord& record, std::uint64_t generation,
                   Recorded kind, Units units, std::uint64_t tick, Nanos now) noexcept {
    Decided what = decided(me, record, generation, kind, units);
    what.tick = tick;
    what.time_ns = static_cast<std::uint64_t>(counted_at(RecordTicks(record), tick, now).count());
    me.ring.write(what);
}

void record_refusal(ParticipantImpl& me, const Limiter& limiter, Nanos now) noexcept {
    Decided what = decided(me, *limiter.record, limiter.generation, Recorded::refuse, 1);
    what.time_ns = static_cast<std::uint64_t>(now.count());
    me.ring.write_refusal(what);
}

/// Counts what a decision met besides its verdict.
void count_odd(ParticipantImpl& me, Refused reason) noexcept {
    if (me.contention.retries != me.retries_counted) {
        me.count(OwnCounter::cas_retries, me.contention.retries - me.retries_counted);
        me.retries_counted = me.contention.retries;
    }
    if (reason == Refused::corrupt) me.count(OwnCounter::corrupt_words);
    if (reason == Refused::evicted) me.count(OwnCounter::evicted_handles);
}

/// Whether one charge would pass on its own; admitted, or why not.
std::optional<Refused> why_not(const Charge& charge, Nanos now) noexcept {
    if (!charge.limiter || !still_lives(*charge.limiter.record, charge.limiter.generation)) {
        return Refused::evicted;
    }
    if (charge.units == 0) return std::nullopt;
    const std::uint64_t tick = RecordTicks(*charge.limiter.record).at(now);
    if (!sane(*charge.limiter.record, tick)) return Refused::corrupt;
    const Verdict verdict = peek(*charge.limiter.record, tick, charge.units);
    if (verdict == Verdict::admitted) return std::nullopt;
    return reason_of(verdict);
}

/// The same limiter twice in one demand asks for the sum: the units of all charges up to `index` on
/// it.
Charge merged(std::span<const Charge> charges, std::size_t index) noexcept {
    Charge sum = charges[index];
    for (std::size_t i = 0; i < index; ++i) {
        if (charges[i].limiter.record == sum.limiter.record) sum.units += charges[i].units;
    }
    return sum;
}

bool lives(const Gauge& gauge) noexcept {
    // ORDER(life): acquire; as in still_lives.
    return gauge && gauge.record->life.load(std::memory_order_acquire) == gauge.generation;
}

std::uint64_t max_of(const GaugeRecord& gauge) noexcept {
    return gauge.max.load(std::memory_order_relaxed);  // ORDER(limit): a parameter on its own
}

bool too_many(const Demand& demand) noexcept {
    return demand.charges.size() > kScopesMax || demand.holds.size() > kScopesMax;
}

/// Takes one slot of a gauge, looking for the dead if it seems full. System calls only in that
/// case, and at most ten times a second.
Hold take_slot(ParticipantImpl& me, GaugeRecord& gauge, Nanos now) noexcept {
    const GaugeCells::View cells = me.segment->cells(gauge);
    Hold hold = GaugeCells::take(cells, me.slot, max_of(gauge), me.contention.retries);
    if (hold != Hold::full || now - me.blocked_at < std::chrono::milliseconds(100)) return hold;
    me.blocked_at = now;
    unsigned reaped = 0;
    for (std::uint32_t slot = 0; slot < me.segment->geometry().participants; ++slot) {
        if (GaugeCells::share(cells, slot) != 0 && me.segment->reap_slot(slot)) ++reaped;
    }
    return reaped == 0 ? hold
                       : GaugeCells::take(cells, me.slot, max_of(gauge), me.contention.retries);
}

void give_back(ParticipantImpl& me, WindowRecord& record, std::uint64_t generation, Recorded kind,
               std::uint64_t tick, Units units, Nanos charged_at) noexcept {
    // Recorded first: of a death in between, the auditor then sees too little rather than a false
    // alarm.
    record_charge(me, record, generation, kind, units, tick, charged_at);
    StandardWindow::give_back(record.state, tick, units);
    me.count(OwnCounter::give_backs);
}

}  // namespace

Admission Participant::admit(const Demand& demand, Nanos now) noexcept {
    if (!impl_ || !impl_->usable() || too_many(demand)) return refused(Refused::corrupt, 0, false);
    ParticipantImpl& me = *impl_;

    // Looking first keeps a demand that will be refused from charging anything, even for a moment.
    const std::size_t count = demand.charges.size();
    for (std::size_t i = 0; count + demand.holds.size() > 1 && i < count; ++i) {
        const auto reason = why_not(demand.charges[i], now);
        if (!reason) continue;
        count_odd(me, *reason);
        if (demand.charges[i].limiter) record_refusal(me, demand.charges[i].limiter, now);
        me.count(OwnCounter::refused);
        return refused(*reason, i, false);
    }

    Admission admission;
    Ticket& ticket = admission.ticket;
    ticket.participant_ = &me;
    ticket.admitted_at_ = now;
    const auto refuse = [&](Refused reason, std::size_t index, bool in_holds) noexcept {
        ticket.settled_ = true;
        ticket.cancel(now);
        ticket.close();
        count_odd(me, reason);
        me.count(OwnCounter::refused);
        admission.refusal = {reason, in_holds, static_cast<std::uint8_t>(index)};
    };

    for (const Gauge& gauge : demand.holds) {
        const std::size_t index = ticket.holds_count_;
        const Hold hold = lives(gauge) ? take_slot(me, *gauge.record, now) : Hold::corrupt;
        if (hold != Hold::taken) {
            refuse(hold == Hold::full ? Refused::in_flight
                   : lives(gauge)     ? Refused::corrupt
                                      : Refused::evicted,
                   index, true);
            return admission;
        }
        ticket.holds_[index] = gauge.record;
        ticket.hold_generations_[index] = gauge.generation;
        ++ticket.holds_count_;
    }

    for (std::size_t i = 0; i < count; ++i) {
        const Charge& charge = demand.charges[i];
        WindowRecord* record = charge.limiter.record;
        if (record == nullptr || !still_lives(*record, charge.limiter.generation)) {
            refuse(Refused::evicted, i, false);
            return admission;
        }
        ticket.entries_[i] = {record, charge.limiter.generation, 0, 0, 0, 0, 0};
        ++ticket.entries_count_;
        if (charge.units == 0) continue;
        const std::uint64_t tick = RecordTicks(*record).at(now);
        const Decision decision =
            sane(*record, tick)
                ? StandardWindow::admit(record->state, tick, charge.units, me.contention)
                : Decision{Verdict::corrupt, tick};
        if (decision.verdict != Verdict::admitted) {
            refuse(reason_of(decision.verdict), i, false);
            record_refusal(me, charge.limiter, now);
            return admission;
        }
        // Whoever evicts closes the head after it has changed `life`. So if this charge came after
        // that, the change shows here, and the charge is left to expire: what it stands in may be
        // another limiter.
        if (!still_lives(*record, charge.limiter.generation)) {
            refuse(Refused::evicted, i, false);
            return admission;
        }
        ticket.entries_[i].tick = decision.tick;
        ticket.entries_[i].reserved = ticket.entries_[i].total = charge.units;
        // A limiter that is ahead of this clock counts the request later than `now`; so do the scopes after it.
        ticket.admitted_at_ = now = counted_at(RecordTicks(*record), decision.tick, now);
        record_charge(me, *record, charge.limiter.generation, Recorded::admit, charge.units,
                      decision.tick, now);
    }
    me.count(OwnCounter::admitted);
    if (me.contention.retries != me.retries_counted) count_odd(me, Refused::over_limit);
    return admission;
}

bool Participant::would_admit(const Demand& demand, Nanos now) const noexcept {
    if (!impl_ || !impl_->usable() || too_many(demand)) return false;
    for (std::size_t i = 0; i < demand.charges.size(); ++i) {
        if (why_not(merged(demand.charges, i), now)) return false;
    }
    return std::all_of(demand.holds.begin(), demand.holds.end(), [](const Gauge& gauge) {
        if (!lives(gauge)) return false;
        const std::uint64_t max = max_of(*gauge.record);
        return max == 0 || GaugeCells::count(gauge.record->total) < max;
    });
}

std::optional<Nanos> Participant::earliest(const Demand& demand, Nanos now) const noexcept {
    if (!impl_ || !impl_->usable() || too_many(demand)) return std::nullopt;
    Nanos latest = now;
    for (std::size_t i = 0; i < demand.charges.size(); ++i) {
        const Charge charge = merged(demand.charges, i);
        if (!charge.limiter || !still_lives(*charge.limiter.record, charge.limiter.generation)) {
            return std::nullopt;
        }
        if (charge.units == 0) continue;
        const WindowRecord& record = *charge.limiter.record;
        const RecordTicks ticks(record);
        const std::uint64_t tick = ticks.at(now);
        if (!sane(record, tick)) return std::nullopt;
        // ORDER(epoch): a limiter that is ahead of this clock decides in its own tick, at once.
        const std::uint64_t today =
            std::max(tick, record.state.epoch.load(std::memory_order_relaxed));
        const std::uint64_t passes = StandardWindow::earliest(record.state, tick, charge.units);
        if (passes == 0) return std::nullopt;
        if (passes > today) latest = std::max(latest, ticks.start_of(passes));
    }
    for (const Gauge& gauge : demand.holds) {
        if (!lives(gauge)) return std::nullopt;
        const std::uint64_t max = max_of(*gauge.record);
        if (max != 0 && GaugeCells::count(gauge.record->total) >= max) return std::nullopt;
    }
    return latest;
}

void Participant::charge(Limiter limiter, Units units, Nanos now) noexcept {
    if (!impl_ || !impl_->usable() || !limiter || units == 0) return;
    if (!still_lives(*limiter.record, limiter.generation))
        return count_odd(*impl_, Refused::evicted);
    const std::uint64_t tick = RecordTicks(*limiter.record).at(now);
    if (!sane(*limiter.record, tick)) return count_odd(*impl_, Refused::corrupt);
    const Decision decision =
        StandardWindow::charge(limiter.record->state, tick, units, impl_->contention);
    if (decision.verdict != Verdict::admitted) return count_odd(*impl_, Refused::corrupt);
    record_charge(*impl_, *limiter.record, limiter.generation, Recorded::charge, units,
                  decision.tick, now);
}

LimiterUsage usage_of(const WindowRecord& record, Nanos now) noexcept;

LimiterUsage Participant::usage(Limiter limiter, Nanos now) const noexcept {
    if (!limiter || !still_lives(*limiter.record, limiter.generation)) return {};
    return usage_of(*limiter.record, now);
}

Units Participant::in_flight(Gauge gauge) const noexcept {
    return lives(gauge) ? GaugeCells::count(gauge.record->total) : 0;
}

void Ticket::take(Ticket& other) noexcept {
    participant_ = std::exchange(other.participant_, nullptr);
    admitted_at_ = other.admitted_at_;
    entries_count_ = other.entries_count_;
    holds_count_ = other.holds_count_;
    settled_ = other.settled_;
    std::copy_n(other.entries_, entries_count_, entries_);
    std::copy_n(other.holds_, holds_count_, holds_);
    std::copy_n(other.hold_generations_, holds_count_, hold_generations_);
}

Ticket::Ticket(Ticket&& other) noexcept {
    take(other);
}

Ticket& Ticket::operator=(Ticket&& other) noexcept {
    if (this == &other) return *this;
    this->~Ticket();
    take(other);
    return *this;
}

Ticket::~Ticket() {
    if (participant_ == nullptr) return;
    if (!settled_ && participant_->usable()) participant_->count(OwnCounter::abandoned);
    close();
}

void Ticket::settle(std::size_t index, Units actual, Nanos now) noexcept {
    if (participant_ == nullptr || index >= entries_count_ || !participant_->usable()) return;
    settled_ = true;
    ParticipantImpl& me = *participant_;
    Entry& entry = entries_[index];
    if (actual == entry.total || !still_lives(*entry.record, entry.generation)) return;
    if (actual < entry.total) {
        Units surplus = entry.total - actual;
        const Units from_extra = std::min(surplus, entry.extra);
        if (from_extra != 0) {
            give_back(me, *entry.record, entry.generation, Recorded::give_back_charge,
                      entry.extra_tick, from_extra, admitted_at_);
        }
        entry.extra -= from_extra;
        surplus -= from_extra;
        const Units from_reserved = std::min(surplus, entry.reserved);
        if (from_reserved != 0) {
            give_back(me, *entry.record, entry.generation, Recorded::give_back, entry.tick,
                      from_reserved, admitted_at_);
        }
        entry.reserved -= from_reserved;
        entry.total -= from_extra + from_reserved;
        return;
    }
    const std::uint64_t tick = RecordTicks(*entry.record).at(now);
    const Units more = actual - entry.total;
    const Decision decision =
        sane(*entry.record, tick)
            ? StandardWindow::charge(entry.record->state, tick, more, me.contention)
            : Decision{Verdict::corrupt, tick};
    if (decision.verdict != Verdict::admitted) return count_odd(me, Refused::corrupt);
    record_charge(me, *entry.record, entry.generation, Recorded::charge, more, decision.tick, now);
    // Extra units of an earlier tick can no longer be told apart; they stay.
    entry.extra = entry.extra_tick == decision.tick ? entry.extra + more : more;
    entry.extra_tick = decision.tick;
    entry.total = actual;
}

void Ticket::cancel(Nanos now) noexcept {
    for (std::size_t i = 0; i < entries_count_; ++i) settle(i, 0, now);
}

void Ticket::close() noexcept {
    ParticipantImpl* me = std::exchange(participant_, nullptr);
    if (me == nullptr || !me->usable()) return;
    for (std::size_t i = 0; i < holds_count_; ++i) drop_hold(*me, i);
}

void Ticket::release(std::size_t hold) noexcept {
    if (participant_ == nullptr || hold >= holds_count_ || !participant_->usable()) return;
    drop_hold(*participant_, hold);
}

void Ticket::drop_hold(ParticipantImpl& me, std::size_t hold) noexcept {
    GaugeRecord* gauge = std::exchange(holds_[hold], nullptr);
    // ORDER(life): acquire; as in still_lives.
    if (!gauge || gauge->life.load(std::memory_order_acquire) != hold_generations_[hold]) return;
    GaugeCells::drop(me.segment->cells(*gauge), me.slot, me.contention.retries);
}

}  // namespace weir::shm
