#include "shm/participant.hpp"

#include <utility>

#include "shm/file_lock.hpp"
#include "shm/gauge_access.hpp"
#include "shm/journal.hpp"
#include "shm/move.hpp"
#include "shm/outlook.hpp"
#include "shm/participant_impl.hpp"

namespace weir::shm {

namespace {

/// No more often than this does one participant ask the kernel who is still alive.
constexpr Nanos kReapEvery = std::chrono::milliseconds(100);

void leave(ParticipantImpl* first) noexcept {
    if (first == nullptr) return;
    ParticipantImpl& at = first->latest();
    SegmentImpl& segment = *at.segment;
    if (segment.broken() || at.born != fork_count()) return;
    // ORDER(slot): ours alone, unless it has been taken for a dead one's
    if (at.record->life.load(std::memory_order_relaxed) == at.life) segment.release_slot(at.slot);
    // The lock belongs to the opening, not to the thread: once the slot is said not to be held here, another
    // thread may take it and rely on the lock.
    unlock_byte(segment.file().fd(), kLockParticipants + at.slot);
    segment.set_slot(at.slot, false);
}

}  // namespace

Participant::Participant() noexcept = default;
Participant::Participant(std::unique_ptr<ParticipantImpl> impl) noexcept : impl_(std::move(impl)) {}
Participant::Participant(Participant&&) noexcept = default;

Participant& Participant::operator=(Participant&& other) noexcept {
    if (this != &other) {
        leave(impl_.get());
        impl_ = std::move(other.impl_);
    }
    return *this;
}

Participant::~Participant() {
    leave(impl_.get());
}

ParticipantImpl* ParticipantImpl::follow() noexcept {
    ParticipantImpl& at = latest();
    if (at.usable()) return &at;
    SegmentImpl& old = *at.segment;
    const Nanos time = now();
    if (old.broken() || at.born != fork_count() || time < at.replace_after) return nullptr;
    try {
        SegmentImpl* to = &old;
        while (to->next() != nullptr) to = to->next();
        auto joined = join_segment(to->shared_from_this(), at.role);
        if (to != &old) {
            move_share(old, at.slot, to->shared_from_this(), joined->slot);
            if (at.record->life.load(std::memory_order_relaxed) == at.life) {  // ORDER(slot): ours alone
                old.release_slot(at.slot);
                unlock_byte(old.file().fd(), kLockParticipants + at.slot);
            }
        }
        old.set_slot(at.slot, false);
        at.successor = std::move(joined);
        return at.successor.get();
    } catch (const std::exception&) {
        at.replace_after = time + kReapEvery;  // there is no slot; others leave theirs
        return nullptr;
    }
}

ParticipantImpl* Participant::current() const noexcept {
    if (!impl_) return nullptr;
    return impl_->usable() ? impl_.get() : impl_->follow();
}

Units Participant::charge(Limiter limiter, Units units, Nanos now) noexcept {
    ParticipantImpl* const me = current();
    if (me == nullptr || !limiter || units == 0) return 0;
    return charge_anyway(*me, limiter, units, now).units;
}

Units Participant::leave_only(Limiter limiter, Units left, Nanos now) noexcept {
    ParticipantImpl* const me = current();
    if (me == nullptr || !limiter) return 0;
    const auto done =
        WindowGuard::leave_only(*limiter.record, limiter.generation, now, left, me->contention);
    record_done(*me, limiter, done);
    return done.units;
}

namespace {

LimiterUsage usage_while_alive(const Limiter& limiter, Nanos now, bool resets) noexcept {
    if (!limiter || !still_lives(*limiter.record, limiter.generation)) return {};
    const LimiterUsage usage = usage_of(*limiter.record, now, resets);
    return still_lives(*limiter.record, limiter.generation) ? usage : LimiterUsage{};
}

}  // namespace

/// A participant that is none, or a parent's, may still look; but not at what the file has lost.
bool Participant::readable() const noexcept {
    return !impl_ || !impl_->latest().segment->broken();
}

LimiterUsage Participant::usage(Limiter limiter, Nanos now) const noexcept {
    return readable() ? usage_while_alive(limiter, now, true) : LimiterUsage{};
}

LimiterUsage Participant::look(Limiter limiter, Nanos now) const noexcept {
    return readable() ? usage_while_alive(limiter, now, false) : LimiterUsage{};
}

Units Participant::in_flight(Gauge gauge) const noexcept {
    return readable() && lives(gauge) ? GaugeCells::count(gauge.record->total) : 0;
}

unsigned Participant::reap(Nanos now) noexcept {
    if (!impl_) return 0;
    ParticipantImpl* me = &impl_->latest();
    if (me->born != fork_count() || now - me->reaped_at < kReapEvery) return 0;
    me->reaped_at = now;
    if (!me->segment->look_whole()) return 0;  // before anything of it is touched
    me->segment->tend(now);
    me = current();
    if (me == nullptr) return 0;
    SegmentImpl& segment = *me->segment;
    unsigned reaped = 0;
    for (std::uint32_t slot = 0; slot < segment.geometry().participants; ++slot) {
        if (segment.reap_slot(slot)) ++reaped;
    }
    return reaped;
}

std::uint64_t Participant::contention() const noexcept {
    return impl_ ? impl_->latest().contention.retries : 0;
}

}  // namespace weir::shm
