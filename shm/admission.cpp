#include "shm/admission.hpp"

#include "shm/gauge_access.hpp"
#include "shm/journal.hpp"
#include "shm/outlook.hpp"
#include "shm/participant_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

Refused reason_of(Verdict verdict, const WindowRecord& record, Units units) noexcept {
    switch (verdict) {
        case Verdict::never_fits:
            // More than this host's part is not yet more than the limit.
            return units <= full_of(record.lease) ? Refused::over_limit : Refused::never_fits;
        case Verdict::corrupt:
            return Refused::corrupt;
        case Verdict::evicted:
            return Refused::evicted;
        default:
            return Refused::over_limit;
    }
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
            if (charge.units == 0) {
                if (!still_lives(record, charge.limiter.generation)) return undo(Refused::evicted, i, false);
                continue;
            }
            asked_[i] = WindowGuard::offer(record, charge.limiter.generation, now_, charge.units);
            if (asked_[i].offer.verdict != Verdict::admitted) {
                const Nanos asked_at = now_;
                if (!last && demand_.charges.size() > 1) now_ = decided_at(demand_, now_);
                if (now_ != asked_at) return true;  // a scope further on is ahead: ask as late as it is
                return undo(reason_of(asked_[i].offer.verdict, record, charge.units), i, false);
            }
            now_ = asked_[i].counts_at;
        }
        return true;
    }

    [[gnu::noinline]] bool hold() noexcept {
        for (const Gauge& gauge : demand_.holds) {
            const std::size_t index = ticket_.holds_count_;
            if (const auto reason = hold_slot(me_, gauge, now_)) return undo(*reason, index, true);
            ticket_.holds_[index] = {gauge.record, gauge.generation};
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
                if (!take(charge, asked_[i])) {
                    undo(reason_of(asked_[i].offer.verdict, record, charge.units), i, false);
                    return Charged::none;
                }
                tick = asked_[i].offer.tick;
                late = asked_[i].counts_at > now_;
            }
            if (late) {
                ticket_.admitted_at_ = now_ = asked_[i].counts_at;
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

    /// Takes what the window has offered or, if that is out of date, asks and takes again. `asked` then has
    /// what was taken, or why nothing was.
    bool take(const Charge& charge, WindowGuard::Asked& asked) noexcept {
        if (!moved_on_) {
            if (StandardWindow::take(charge.limiter.record->state, asked.offer, charge.units)) return true;
            ++me_.contention.retries;
        }
        return take_anew(charge, asked);
    }

    [[gnu::noinline]] bool take_anew(const Charge& charge, WindowGuard::Asked& asked) noexcept {
        WindowRecord& record = *charge.limiter.record;
        fetch_for_writing(&record);
        const WindowGuard::Done done =
            WindowGuard::admit(record, charge.limiter.generation, now_, charge.units, me_.contention);
        asked = {{done.verdict, done.tick, 0}, done.counts_at};
        return done.verdict == Verdict::admitted;
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
    WindowGuard::Asked asked_[kScopesMax];  // uninitialised beyond the charges
};

Admission Participant::admit(const Demand& demand, Nanos now) noexcept {
    Admission admission;  // the only thing returned, so that it is made where the caller wants it
    ParticipantImpl* const me = current();
    if (me == nullptr || too_many(demand)) {
        admission.refusal.reason = Refused::corrupt;
    } else {
        Admitter(*me, demand, now, admission).run();
    }
    return admission;
}

}  // namespace weir::shm
