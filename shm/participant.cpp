#include "shm/participant.hpp"

#include <utility>

#include "shm/file_lock.hpp"
#include "shm/gauge_access.hpp"
#include "shm/journal.hpp"
#include "shm/outlook.hpp"
#include "shm/participant_impl.hpp"

namespace weir::shm {

namespace {

/// No more often than this does one participant ask the kernel who is still alive.
constexpr Nanos kReapEvery = std::chrono::milliseconds(100);

void leave(ParticipantImpl* impl) noexcept {
    if (impl == nullptr || !impl->usable()) return;
    impl->segment->release_slot(impl->slot);
    // The lock belongs to the opening, not to the thread: once the slot is said not to be held here, another
    // thread may take it and rely on the lock.
    unlock_byte(impl->segment->file().fd(), kLockParticipants + impl->slot);
    impl->segment->set_slot(impl->slot, false);
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

Units Participant::charge(Limiter limiter, Units units, Nanos now) noexcept {
    if (!impl_ || !impl_->usable() || !limiter || units == 0) return 0;
    return charge_anyway(*impl_, limiter, units, now).units;
}

Units Participant::leave_only(Limiter limiter, Units left, Nanos now) noexcept {
    if (!impl_ || !impl_->usable() || !limiter) return 0;
    const auto done =
        WindowGuard::leave_only(*limiter.record, limiter.generation, now, left, impl_->contention);
    record_done(*impl_, limiter, done);
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
    return !impl_ || !impl_->segment->broken();
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
    if (!impl_ || !impl_->usable() || now - impl_->reaped_at < kReapEvery) return 0;
    impl_->reaped_at = now;
    SegmentImpl& segment = *impl_->segment;
    if (!segment.look_whole()) return 0;
    unsigned reaped = 0;
    for (std::uint32_t slot = 0; slot < segment.geometry().participants; ++slot) {
        if (segment.reap_slot(slot)) ++reaped;
    }
    return reaped;
}

std::uint64_t Participant::contention() const noexcept {
    return impl_ ? impl_->contention.retries : 0;
}

}  // namespace weir::shm
