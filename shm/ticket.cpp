#include "shm/ticket.hpp"

#include <algorithm>
#include <utility>

#include "shm/gauge_access.hpp"
#include "shm/journal.hpp"
#include "shm/move.hpp"

namespace weir::shm {

namespace {

void give_back(ParticipantImpl& me, const Limiter& limiter, Recorded kind, std::uint64_t tick, Units units,
               Nanos charged_at) noexcept {
    if (units == 0) return;
    // Recorded first: of a death in between, the auditor then sees too little rather than a false alarm.
    record_charge(me, *limiter.record, limiter.generation, kind, units, tick, charged_at);
    WindowGuard::give_back(*limiter.record, limiter.generation, tick, units);
    me.count(OwnCounter::give_backs);
}

}  // namespace

void Ticket::take(Ticket& other) noexcept {
    participant_ = std::exchange(other.participant_, nullptr);
    admitted_at_ = other.admitted_at_;
    entries_count_ = other.entries_count_;
    holds_count_ = other.holds_count_;
    settled_ = other.settled_;
    std::copy_n(other.entries_, entries_count_, entries_);
    std::copy_n(other.holds_, holds_count_, holds_);
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
    if (!settled_ && usable()) participant_->count(OwnCounter::abandoned);
    close();
}

/// Whether the participant can still do anything; the ticket goes over to another segment with it.
bool Ticket::usable() noexcept {
    if (participant_->usable()) return true;
    ParticipantImpl* const to = participant_->follow();
    if (to == nullptr) return false;
    if (to != participant_) move_to(*to);
    return true;
}

/// What was reserved has been charged there with all that was used, at another time, so it is not given back:
/// it leaves with its window. What was in flight is the participant's there.
void Ticket::move_to(ParticipantImpl& to) noexcept {
    const ParticipantImpl& from = *std::exchange(participant_, &to);
    const bool elsewhere = to.segment != from.segment;
    for (std::size_t i = 0; i < entries_count_ && elsewhere; ++i) {
        Entry& entry = entries_[i];
        if (entry.record == nullptr) continue;
        const Limiter there = twin(*from.segment, to.segment, entry.limiter());
        entry.record = there.record;
        entry.generation = there.generation;
        entry.reserved = entry.extra = 0;
    }
    for (std::size_t i = 0; i < holds_count_; ++i) {
        Held& held = holds_[i];
        if (held.record == nullptr) continue;
        // In another slot of the same segment: it was taken for a dead one's, and nothing is held any more.
        const Gauge there =
            elsewhere ? twin(*from.segment, to.segment, Gauge{held.record, held.generation}) : Gauge{};
        held = {there.record, there.generation};
    }
}

Units Ticket::settle(std::size_t index, Units actual, Nanos now) noexcept {
    if (participant_ == nullptr || index >= entries_count_ || !usable()) return 0;
    settled_ = true;
    Entry& entry = entries_[index];
    if (entry.record == nullptr) return entry.total;
    if (actual < entry.total) lower(entry, entry.total - actual);
    if (actual > entry.total) raise(entry, actual - entry.total, now);
    return entry.total;
}

void Ticket::lower(Entry& entry, Units surplus) noexcept {
    if (!same_life(*entry.record, entry.generation)) return;
    ParticipantImpl& me = *participant_;
    const Units from_extra = std::min(surplus, entry.extra);
    give_back(me, entry.limiter(), Recorded::give_back_charge, entry.extra_tick, from_extra, admitted_at_);
    const Units from_reserved = std::min(surplus - from_extra, entry.reserved);
    give_back(me, entry.limiter(), Recorded::give_back, entry.tick, from_reserved, entry.counted_at);
    entry.extra -= from_extra;
    entry.reserved -= from_reserved;
    entry.total -= from_extra + from_reserved;
}

void Ticket::raise(Entry& entry, Units more, Nanos now) noexcept {
    WindowGuard::Done done = charge_anyway(*participant_, entry.limiter(), more, now);
    if (done.verdict == Verdict::evicted && participant_->segment->being_left()) {
        participant_->segment->tend(now);
        if (!usable() || entry.record == nullptr) return;
        done = charge_anyway(*participant_, entry.limiter(), more, now);
    }
    if (done.verdict != Verdict::admitted) return;
    // Extra units of an earlier tick can no longer be told apart; they stay.
    entry.extra = entry.extra_tick == done.tick ? entry.extra + done.units : done.units;
    entry.extra_tick = done.tick;
    entry.total += done.units;
}

void Ticket::cancel(Nanos now) noexcept {
    for (std::size_t i = 0; i < entries_count_; ++i) settle(i, 0, now);
}

void Ticket::close() noexcept {
    if (participant_ == nullptr) return;
    const bool good = holds_count_ != 0 && usable();
    ParticipantImpl* me = std::exchange(participant_, nullptr);
    if (!good) return;
    for (std::size_t i = 0; i < holds_count_; ++i) drop(*me, holds_[i]);
}

void Ticket::release(std::size_t hold) noexcept {
    if (participant_ == nullptr || hold >= holds_count_ || !usable()) return;
    drop(*participant_, holds_[hold]);
}

void Ticket::drop(ParticipantImpl& me, Held& held) noexcept {
    GaugeRecord* gauge = std::exchange(held.record, nullptr);
    if (gauge == nullptr) return;
    // Of a segment that is being left its share is still to go over: without what has ended by then.
    if (!same_life(*gauge, held.generation) && !has_moved(gauge->life, held.generation)) return;
    GaugeCells::drop(me.segment->cells(*gauge), me.slot, me.contention.retries);
}

}  // namespace weir::shm
