#include "shm/admission.hpp"

#include <algorithm>
#include <utility>

#include "shm/gauge_access.hpp"
#include "shm/lease.hpp"
#include "shm/participant_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

Refused reason_of(Verdict verdict, const WindowRecord& record, Units units) noexcept {
    switch (verdict) {
        case Verdict::never_fits:
            // More than this host's part is not yet more than the limit.
            return units <= full_of(record) ? Refused::over_limit : Refused::never_fits;
        case Verdict::corrupt:
            return Refused::corrupt;
        default:
            return Refused::over_limit;
    }
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
Nanos counted_at(const WindowRecord& record, std::uint64_t tick, Nanos now) noexcept {
    const RecordTicks ticks(record);
    return tick > ticks.at(now) ? ticks.start_of(tick) : now;
}

void record_charge(ParticipantImpl& me, const WindowRecord& record, std::uint64_t generation,
                   Recorded kind, Units units, std::uint64_t tick, Nanos counts_at) noexcept {
    Decided what = decided(me, record, generation, kind, units);
    what.tick = tick;
    what.time_ns = static_cast<std::uint64_t>(counts_at.count());
    me.ring.write(what);
}

void record_refusal(ParticipantImpl& me, const Limiter& limiter, Nanos now) noexcept {
    Decided what = decided(me, *limiter.record, limiter.generation, Recorded::refuse, 1);
    what.time_ns = static_cast<std::uint64_t>(now.count());
    me.ring.write_refusal(what);
}

/// Hands on the retries of the last operations.
void count_retries(ParticipantImpl& me) noexcept {
    if (me.contention.retries == me.retries_counted) return;
    me.count(OwnCounter::cas_retries, me.contention.retries - me.retries_counted);
    me.retries_counted = me.contention.retries;
}

/// Counts what a decision met besides its verdict.
void count_odd(ParticipantImpl& me, Refused reason) noexcept {
    count_retries(me);
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
    return reason_of(verdict, *charge.limiter.record, charge.units);
}

/// The time at which a demand is decided: `now`, or that of the limiter that is furthest ahead of it.
Nanos decided_at(const Demand& demand, Nanos now) noexcept {
    for (const Charge& charge : demand.charges) {
        if (!charge.limiter || charge.units == 0) continue;
        if (!still_lives(*charge.limiter.record, charge.limiter.generation)) continue;
        const WindowRecord& record = *charge.limiter.record;
        // ORDER(epoch): only a time to ask for; the window reads it again.
        const std::uint64_t epoch = record.state.epoch.load(std::memory_order_relaxed);
        if (sane(record, RecordTicks(record).at(now))) now = counted_at(record, epoch, now);
    }
    return now;
}

/// The same limiter twice in one demand asks for the sum: the units of its charges up to `index`.
Charge merged(std::span<const Charge> charges, std::size_t index) noexcept {
    Charge sum = charges[index];
    for (std::size_t i = 0; i < index; ++i) {
        if (charges[i].limiter.record == sum.limiter.record) sum.units += charges[i].units;
    }
    return sum;
}

bool too_many(const Demand& demand) noexcept {
    return demand.charges.size() > kScopesMax || demand.holds.size() > kScopesMax;
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

/// One demand on its way to a ticket: asks every window first, then holds the gauges, then charges. Asking
/// first keeps a demand that will be refused from charging anything, even for a moment.
class Admitter {
 public:
    Admitter(ParticipantImpl& me, const Demand& demand, Nanos now, Admission& admission) noexcept
        : me_(me), demand_(demand), now_(now), admission_(admission), ticket_(admission.ticket) {}

    /// Flat, for the head's cache line stays here only so long: what two processes get done on one limiter
    /// halves with a few more instructions between its arrival and the compare-and-swap.
    [[gnu::flatten]] void run() noexcept {
        if (!ask()) return;
        ticket_.participant_ = &me_;
        if (!demand_.holds.empty() && !hold()) return;
        for (unsigned round = 0;; ++round) {
            ticket_.admitted_at_ = now_;
            const Charged charged = charge(round < kRoundsMax);
            if (charged == Charged::none) return;
            if (charged == Charged::all) break;
            if (!ask()) return;
        }
        me_.admitting = true;
        me_.count(OwnCounter::admitted);
        count_retries(me_);
    }

 private:
    /// What one window said.
    struct Asked {
        std::uint64_t tick;  // of the demand's time, as this window counts
        StandardWindow::Offer offer;
    };

    /// `late`: the decision's time has moved on while earlier scopes were charged, so all are asked again.
    enum class Charged : std::uint8_t { all, none, late };

    /// Others must move a limiter on by a tick within each round, so there is hardly ever a second one.
    static constexpr unsigned kRoundsMax = 100;

    /// One time for all scopes: a limiter that is ahead of this clock takes the decision along. Otherwise
    /// the scopes charged before would see it leave their windows too early.
    bool ask() noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            const Nanos asked_at = now_;
            if (!ask_once(round + 1 == kRoundsMax)) return false;
            if (now_ == asked_at || demand_.charges.size() == 1) break;
        }
        return true;
    }

    bool ask_once(bool last) noexcept {
        for (std::size_t i = 0; i < demand_.charges.size(); ++i) {
            const Charge& charge = demand_.charges[i];
            if (!charge.limiter) return undo(Refused::evicted, i, false);
            WindowRecord& record = *charge.limiter.record;
            // Whoever will write the head wants its line for itself at once; whoever is going to be refused
            // had better share it.
            if (me_.admitting) fetch_for_writing(&record);
            const RecordTicks ticks(record);
            if (!still_lives(record, charge.limiter.generation)) return undo(Refused::evicted, i, false);
            if (charge.units == 0) continue;
            Asked& asked = asked_[i];
            asked.tick = ticks.at(now_);
            if (!sane(record, asked.tick)) return undo(Refused::corrupt, i, false);
            asked.offer = StandardWindow::offer(record.state, asked.tick, charge.units);
            // Whoever evicts changes `life` and then closes the head. A head that was closed shows the change
            // here; one that is closed later is found by the compare-and-swap that takes the offer. Looked
            // at now and not after that: by then the line may be with another process.
            if (!still_lives(record, charge.limiter.generation)) return undo(Refused::evicted, i, false);
            if (asked.offer.verdict != Verdict::admitted) {
                const Nanos asked_at = now_;
                if (!last && demand_.charges.size() > 1) now_ = decided_at(demand_, now_);
                if (now_ != asked_at) return true;  // a scope further on is ahead: ask as late as it is
                return undo(reason_of(asked.offer.verdict, record, charge.units), i, false);
            }
            if (asked.offer.tick > asked.tick) {
                asked.tick = asked.offer.tick;
                now_ = RecordTicks(record).start_of(asked.tick);
            }
        }
        return true;
    }

    [[gnu::noinline]] bool hold() noexcept {
        for (const Gauge& gauge : demand_.holds) {
            const std::size_t index = ticket_.holds_count_;
            if (const auto reason = hold_slot(me_, gauge, now_)) return undo(*reason, index, true);
            ticket_.holds_[index] = gauge.record;
            ticket_.hold_generations_[index] = gauge.generation;
            ++ticket_.holds_count_;
        }
        return true;
    }

    Charged charge(bool may_be_late) noexcept {
        for (std::size_t i = 0; i < demand_.charges.size(); ++i) {
            const Charge& charge = demand_.charges[i];
            WindowRecord& record = *charge.limiter.record;
            const std::uint64_t generation = charge.limiter.generation;
            std::uint64_t tick = 0;
            bool late = false;
            if (charge.units != 0) {
                if (const auto reason = take(charge, asked_[i])) {
                    undo(*reason, i, false);
                    return Charged::none;
                }
                tick = asked_[i].offer.tick;
                late = tick > asked_[i].tick;
            }
            if (late) {
                ticket_.admitted_at_ = now_ = RecordTicks(record).start_of(tick);
                moved_on_ = true;
            }
            ticket_.entries_[i] = {&record, generation, tick, now_, charge.units, 0, 0, charge.units};
            ++ticket_.entries_count_;
            if (charge.units == 0) continue;
            record_charge(me_, record, generation, Recorded::admit, charge.units, tick, now_);
            if (late && i != 0 && may_be_late) {
                give_all_back();
                return Charged::late;
            }
        }
        return Charged::all;
    }

    void give_all_back() noexcept {
        const bool settled = ticket_.settled_;
        ticket_.cancel(now_);
        ticket_.settled_ = settled;
        ticket_.entries_count_ = 0;
        moved_on_ = false;
    }

    /// Takes what the window has offered or, if that is out of date, asks and takes again. Empty when it is
    /// taken; `asked.offer` then has the tick.
    std::optional<Refused> take(const Charge& charge, Asked& asked) noexcept {
        WindowRecord& record = *charge.limiter.record;
        if (!moved_on_) {
            if (StandardWindow::take(record.state, asked.offer, charge.units)) return std::nullopt;
            ++me_.contention.retries;
        }
        return take_anew(charge, asked);
    }

    [[gnu::noinline]] std::optional<Refused> take_anew(const Charge& charge, Asked& asked) noexcept {
        WindowRecord& record = *charge.limiter.record;
        fetch_for_writing(&record);
        asked.tick = RecordTicks(record).at(now_);
        if (!sane(record, asked.tick)) return Refused::corrupt;
        const Decision decision =
            StandardWindow::admit(record.state, asked.tick, charge.units, me_.contention);
        if (decision.verdict != Verdict::admitted) return reason_of(decision.verdict, record, charge.units);
        // If this charge came after the head was closed for an eviction, the change of `life` shows here, and
        // the charge is left to expire: what it stands in may be another limiter.
        if (!still_lives(record, charge.limiter.generation)) return Refused::evicted;
        asked.offer.tick = decision.tick;
        return std::nullopt;
    }

    /// Refuses, and gives back all that may have been charged or held already.
    [[gnu::noinline]] bool undo(Refused reason, std::size_t index, bool in_holds) noexcept {
        if (ticket_.participant_ != nullptr) {
            ticket_.settled_ = true;
            ticket_.cancel(now_);
            ticket_.close();
        }
        return refuse(reason, index, in_holds);
    }

    [[gnu::noinline]] bool refuse(Refused reason, std::size_t index, bool in_holds) noexcept {
        if (!in_holds && demand_.charges[index].limiter) {
            record_refusal(me_, demand_.charges[index].limiter, now_);
        }
        me_.admitting = false;
        me_.count(OwnCounter::refused);
        count_odd(me_, reason);
        admission_.refusal = {reason, in_holds, static_cast<std::uint8_t>(index)};
        return false;
    }

    ParticipantImpl& me_;
    const Demand& demand_;
    Nanos now_;
    Admission& admission_;
    Ticket& ticket_;
    bool moved_on_ = false;  // `now_` is later than when the windows were asked
    Asked asked_[kScopesMax];  // uninitialised beyond the charges
};

Admission Participant::admit(const Demand& demand, Nanos now) noexcept {
    Admission admission;  // the only thing returned, so that it is made where the caller wants it
    if (!impl_ || !impl_->usable() || too_many(demand)) {
        admission.refusal.reason = Refused::corrupt;
    } else {
        Admitter(*impl_, demand, now, admission).run();
    }
    return admission;
}

bool Participant::would_admit(const Demand& demand, Nanos now) const noexcept {
    if (!impl_ || !impl_->usable() || too_many(demand)) return false;
    now = decided_at(demand, now);
    for (std::size_t i = 0; i < demand.charges.size(); ++i) {
        if (why_not(merged(demand.charges, i), now)) return false;
    }
    return std::all_of(demand.holds.begin(), demand.holds.end(), [](const Gauge& gauge) {
        if (!lives(gauge)) return false;
        return GaugeCells::count(gauge.record->total) < max_of(*gauge.record);
    });
}

std::optional<Nanos> Participant::earliest(const Demand& demand, Nanos now) const noexcept {
    if (!impl_ || !impl_->usable() || too_many(demand)) return std::nullopt;
    Nanos latest = now;
    now = decided_at(demand, now);
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
        if (passes == 0 && charge.units <= full_of(record)) {
            // It waits for a larger part of a shared limit, which depends on the other hosts.
            latest = std::max(latest, now + kLeaseRetry);
            continue;
        }
        if (passes == 0) return std::nullopt;
        if (passes > today) latest = std::max(latest, ticks.start_of(passes));
    }
    for (const Gauge& gauge : demand.holds) {
        if (!lives(gauge)) return std::nullopt;
        if (GaugeCells::count(gauge.record->total) >= max_of(*gauge.record)) return std::nullopt;
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
                  decision.tick, counted_at(*limiter.record, decision.tick, now));
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
    if (participant_ != nullptr) end();
    take(other);
    return *this;
}

void Ticket::end() noexcept {
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
                      from_reserved, entry.counted_at);
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
    record_charge(me, *entry.record, entry.generation, Recorded::charge, more, decision.tick,
                  counted_at(*entry.record, decision.tick, now));
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
    if (!gauge) return;
    // ORDER(life): acquire; as in still_lives. One that is only looked at for eviction is still the same.
    const std::uint64_t life = gauge->life.load(std::memory_order_acquire);
    if (Life::generation_of(life) != Life::generation_of(hold_generations_[hold])) return;
    GaugeCells::drop(me.segment->cells(*gauge), me.slot, me.contention.retries);
}

}  // namespace weir::shm
