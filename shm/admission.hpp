// One decision over many limits: all of a request's scopes are charged, or none.
//
// An Admission is asked of a Participant (participant.hpp). Looking comes first and charging
// second, in the order given; what was charged before a refusal is given back into its own window.
// A process killed in between leaves at most one reservation, which expires with its window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/limiter.hpp"

namespace weir::shm {

class Participant;
struct ParticipantImpl;

/// The most window limiters, and likewise gauges, that one decision can span.
inline constexpr std::size_t kScopesMax = 16;

/// One window to charge.
struct Charge {
    Limiter limiter;
    Units units = 1;  ///< 0 is allowed and always passes
};

/// All that one request asks for.
struct Demand {
    std::span<const Charge> charges;  ///< at most kScopesMax
    std::span<const Gauge>
        holds;  ///< one slot of each for as long as the ticket lives; at most kScopesMax
};

enum class Refused : std::uint8_t {
    over_limit,  ///< a window is full now; Participant::earliest says when this demand would pass
    never_fits,  ///< more units than the limit allows at all: waiting does not help
    in_flight,   ///< a gauge is at its maximum; nobody can say for how long
    evicted,     ///< a handle names something that is no longer in the segment
    corrupt,     ///< the segment's words make no sense; counted and refused
};

/// Why a demand was refused. Nothing was charged.
struct Refusal {
    Refused reason = Refused::over_limit;
    bool in_holds = false;  ///< whether `index` counts in Demand::holds, or else in Demand::charges
    std::uint8_t index = 0;  ///< the first scope that refused
};

/// A demand that was admitted. Move-only; must be settled with what it really cost.
///
/// A ticket that is dropped unsettled is *abandoned*: what was reserved stays charged until its
/// window has passed (it may have been used), and its in-flight slots are free again at once.
///
/// Not thread-safe; it belongs to the thread of its Participant and must not outlive it.
class Ticket {
 public:
    Ticket() noexcept {}  // not defaulted: `Ticket t{}` would clear the arrays
    Ticket(Ticket&& other) noexcept;
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket() {
        if (participant_ != nullptr) end();
    }

    explicit operator bool() const noexcept { return participant_ != nullptr; }

    /// The time that the limiters count this request at (CLOCK_MONOTONIC): the `now` of its decision, or a
    /// little later if a limiter was ahead of that clock.
    Nanos admitted_at() const noexcept { return admitted_at_; }

    /// Replaces the estimate of charge `index` (its place in Demand::charges) by its true cost.
    /// Less than reserved gives the rest back into the window of the reservation; more is charged
    /// at `now`, limit or not. May be called again as more becomes known; the last call counts,
    /// except that extra units charged by more than one call in different ticks of the window are
    /// not given back.
    void settle(std::size_t index, Units actual, Nanos now) noexcept;

    /// Gives everything back: for a request that was certainly never sent.
    void cancel(Nanos now) noexcept;

    /// Frees one in-flight slot (its place in Demand::holds) before the ticket ends: for a request
    /// that goes on elsewhere. Doing it twice does nothing.
    void release(std::size_t hold) noexcept;

    /// Frees the in-flight slots and ends the ticket; what is charged stays. Further calls do
    /// nothing.
    void close() noexcept;

 private:
    friend class Admitter;  // admission.cpp

    /// What became of one charge. Trivial, and only as many as there are charges are ever touched.
    struct Entry {
        WindowRecord* record;
        std::uint64_t generation;
        std::uint64_t tick;        // of the reservation
        Nanos counted_at;          // its time in the flight recorder
        Units reserved;            // still charged in `tick`
        std::uint64_t extra_tick;  // of the latest charge beyond the reservation
        Units extra;               // still charged in `extra_tick`
        Units total;  // all that is charged; more than the two above after several extras
    };

    void end() noexcept;
    void take(Ticket& other) noexcept;
    void drop_hold(ParticipantImpl& me, std::size_t hold) noexcept;

    ParticipantImpl* participant_ = nullptr;
    Nanos admitted_at_{};
    std::uint8_t entries_count_ = 0;
    std::uint8_t holds_count_ = 0;
    bool settled_ = false;
    Entry entries_[kScopesMax];  // uninitialised beyond entries_count_
    GaugeRecord* holds_[kScopesMax];
    std::uint64_t hold_generations_[kScopesMax];
};

/// A ticket, or the reason why there is none.
struct [[nodiscard]] Admission {
    Ticket ticket;
    Refusal refusal;
    bool admitted() const noexcept { return static_cast<bool>(ticket); }
};

}  // namespace weir::shm
