// What an admitted demand holds until it is settled: its charges, and its slots of gauges.
//
// Thread safety: none; a ticket belongs to the thread of its Participant. Process safety: all of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/limiter.hpp"

namespace weir::shm {

struct ParticipantImpl;

/// The most window limiters, and likewise gauges, that one decision can span.
inline constexpr std::size_t kScopesMax = 16;

/// A demand that was admitted. Move-only; must be settled with what it really cost.
///
/// A ticket that is dropped unsettled is *abandoned*: what was reserved stays charged until its
/// window has passed (it may have been used), and its in-flight slots are free again at once.
///
/// Must not outlive its Participant.
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
    /// not given back. A window holds 2^40 - 1 units at most; what would be more is not charged. Returns what
    /// is charged now: less than `actual` if the limiter was evicted, or its words are garbage.
    Units settle(std::size_t index, Units actual, Nanos now) noexcept;

    /// The limiter of charge `index`; none if the ticket has no such charge.
    Limiter limiter(std::size_t index) const noexcept {
        return index < entries_count_ ? entries_[index].limiter() : Limiter{};
    }

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

    // Both are trivial: making a ticket touches none of them, and using it only as many as there are.

    /// What became of one charge.
    struct Entry {
        WindowRecord* record;
        std::uint64_t generation;
        std::uint64_t tick;        // of the reservation
        Nanos counted_at;          // its time in the flight recorder
        Units reserved;            // still charged in `tick`
        std::uint64_t extra_tick;  // of the latest charge beyond the reservation
        Units extra;               // still charged in `extra_tick`
        Units total;  // all that is charged; more than the two above after several extras

        Limiter limiter() const noexcept { return {record, generation}; }
    };

    /// One slot of a gauge; null once it is free.
    struct Held {
        GaugeRecord* record;
        std::uint64_t generation;
    };

    void end() noexcept;
    bool usable() noexcept;
    void move_to(ParticipantImpl& to) noexcept;
    void take(Ticket& other) noexcept;
    void lower(Entry& entry, Units surplus) noexcept;
    void raise(Entry& entry, Units more, Nanos now) noexcept;
    static void drop(ParticipantImpl& me, Held& held) noexcept;

    ParticipantImpl* participant_ = nullptr;
    Nanos admitted_at_{};
    std::uint8_t entries_count_ = 0;
    std::uint8_t holds_count_ = 0;
    bool settled_ = false;
    Entry entries_[kScopesMax];  // uninitialised beyond entries_count_
    Held holds_[kScopesMax];     // likewise
};

}  // namespace weir::shm
