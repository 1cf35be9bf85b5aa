// A participant: one actor that charges limits in a segment. One per thread that does.
//
// Joining takes a slot in the segment with a name, a lock that the kernel releases when the process
// dies, the participant's share of every in-flight gauge, and its ring of the flight recorder.
//
// Thread safety: none; one thread at a time. Process safety: all of it. After fork() the child must
// open a Segment and join for itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "shm/admission.hpp"
#include "shm/clock.hpp"
#include "shm/limiter.hpp"

namespace weir::shm {

class SegmentImpl;
struct ParticipantImpl;

/// What a window limiter holds at one moment.
struct LimiterUsage {
    Units limit = 0;      ///< of all hosts together, if they share it
    Units lease = 0;      ///< this host's part of it; the limit itself if it is not shared
    bool shared = false;  ///< whether hosts share it
    Units used = 0;       ///< may exceed `limit` after debts, or after the limit was lowered
    Units remaining = 0;  ///< max(0, limit - used)
    Nanos resets_in{};    ///< until everything used now has left the window; 0 when nothing is used
};

class Participant {
 public:
    Participant() noexcept;
    Participant(Participant&&) noexcept;
    Participant& operator=(Participant&&) noexcept;
    ~Participant();  ///< leaves: in-flight shares are freed, the recorder's ring stays readable

    explicit operator bool() const noexcept { return impl_ != nullptr; }

    /// Decides on `demand` at `now` (shm::now(), read once per request). No system call, no
    /// allocation, no lock; about 10 ns for each charge. All or none.
    Admission admit(const Demand& demand, Nanos now) noexcept;

    /// The earliest time, `now` or later, at which `demand` would pass if nobody else took
    /// anything; empty if no waiting helps (never_fits) or nobody can know (in_flight). Exact to
    /// the nanosecond: the demand is refused before and passes then.
    std::optional<Nanos> earliest(const Demand& demand, Nanos now) const noexcept;

    /// Whether `demand` would be admitted at `now`, without charging anything.
    bool would_admit(const Demand& demand, Nanos now) const noexcept;

    /// Charges `units` whatever the limit says, e.g. what a provider reports that others have used. Returns
    /// what it has charged: a window holds 2^40 - 1 units at most, and an evicted limiter none.
    Units charge(Limiter limiter, Units units, Nanos now) noexcept;

    /// Charges what is free beyond `left` units, e.g. when a provider says that no more are left. In one
    /// step: of several who are told the same, one charges. Returns what it has charged, which may be 0.
    Units leave_only(Limiter limiter, Units left, Nanos now) noexcept;

    LimiterUsage usage(Limiter limiter, Nanos now) const noexcept;
    /// The same without `resets_in`, for half the work.
    LimiterUsage look(Limiter limiter, Nanos now) const noexcept;
    Units in_flight(Gauge gauge) const noexcept;

    /// Frees the in-flight shares of participants that have died, and does other small
    /// housekeeping. Call it a few times per second; it is cheap, and any participant may do it for
    /// all. Returns how many died.
    unsigned reap(Nanos now) noexcept;

    /// Failed compare-and-swaps so far: other participants were faster. For stress tests and
    /// metrics.
    std::uint64_t contention() const noexcept;

 private:
    bool readable() const noexcept;
    ParticipantImpl* current() const noexcept;
    friend class Segment;
    friend class Lines;
    explicit Participant(std::unique_ptr<ParticipantImpl> impl) noexcept;

    std::unique_ptr<ParticipantImpl> impl_;
};

}  // namespace weir::shm
