// What a decision leaves behind besides its charge: its entry in the flight recorder, and counts.
//
// Internal to shm/. Thread safety: none; the participant's thread.
#pragma once

#include "shm/admission.hpp"
#include "shm/participant_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

inline Decided decided(ParticipantImpl& me, const WindowRecord& record, std::uint64_t generation,
                       Recorded kind, Units units) noexcept {
    Decided what;
    what.record = me.segment->index_of(record);
    what.generation = static_cast<std::uint32_t>(Life::generation_of(generation));
    what.kind = kind;
    what.units = units;
    return what;
}

/// `tick` is the one charged, and `counts_at` a time within it.
inline void record_charge(ParticipantImpl& me, const WindowRecord& record, std::uint64_t generation,
                          Recorded kind, Units units, std::uint64_t tick, Nanos counts_at) noexcept {
    Decided what = decided(me, record, generation, kind, units);
    what.tick = tick;
    what.time_ns = static_cast<std::uint64_t>(counts_at.count());
    me.ring.write(what);
}

inline void record_refusal(ParticipantImpl& me, const Limiter& limiter, Nanos now) noexcept {
    Decided what = decided(me, *limiter.record, limiter.generation, Recorded::refuse, 1);
    what.time_ns = static_cast<std::uint64_t>(now.count());
    me.ring.write_refusal(what);
}

/// Hands on the retries of the last operations.
inline void count_retries(ParticipantImpl& me) noexcept {
    if (me.contention.retries == me.retries_counted) return;
    me.count(OwnCounter::cas_retries, me.contention.retries - me.retries_counted);
    me.retries_counted = me.contention.retries;
}

/// Counts what a decision met besides its verdict.
inline void count_odd(ParticipantImpl& me, Refused reason) noexcept {
    count_retries(me);
    if (reason == Refused::corrupt) me.count(OwnCounter::corrupt_words);
    if (reason == Refused::evicted) me.count(OwnCounter::evicted_handles);
}

/// Counts and records a charge that asked for nobody's leave.
inline void record_done(ParticipantImpl& me, const Limiter& limiter, const WindowGuard::Done& done) noexcept {
    if (done.verdict != Verdict::admitted) {
        count_odd(me, done.verdict == Verdict::evicted ? Refused::evicted : Refused::corrupt);
    } else if (done.units != 0) {
        record_charge(me, *limiter.record, limiter.generation, Recorded::charge, done.units, done.tick,
                      done.counts_at);
    }
}

/// Charges a limiter whatever its limit says; what was charged, and where.
inline WindowGuard::Done charge_anyway(ParticipantImpl& me, const Limiter& limiter, Units units,
                                       Nanos now) noexcept {
    const auto done = WindowGuard::charge(*limiter.record, limiter.generation, now, units, me.contention);
    record_done(me, limiter, done);
    return done;
}

}  // namespace weir::shm
