#include "shm/ticket.hpp"

#include <algorithm>
#include <utility>

#include "shm/gauge_access.hpp"
#include "shm/journal.hpp"

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
    if (!settled_ && participant_->usable()) participant_->count(OwnCounter::abandoned);
    close();
}

Units Ticket::settle(std::size_t index, Units actual, Nanos now) noexcept {
    if (participant_ == nullptr || index >= entries_count_ || !participant_->usable()) return 0;
    settled_ = true;
    Entry& entry = entries_[index];
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
    const WindowGuard::Done done = charge_anyway(*participant_, entry.limiter(), more, now);
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
    ParticipantImpl* me = std::exchange(participant_, nullptr);
    if (me == nullptr || holds_count_ == 0 || !me->usable()) return;
    for (std::size_t i = 0; i < holds_count_; ++i) drop(*me, holds_[i]);
}

void Ticket::release(std::size_t hold) noexcept {
    if (participant_ == nullptr || hold >= holds_count_ || !participant_->usable()) return;
    drop(*participant_, holds_[hold]);
}

void Ticket::drop(ParticipantImpl& me, Held& held) noexcept {
    GaugeRecord* gauge = std::exchange(held.record, nullptr);
    if (gauge == nullptr || !same_life(*gauge, held.generation)) return;
    GaugeCells::drop(me.segment->cells(*gauge), me.slot, me.contention.retries);
}

}  // namespace weir::shm
