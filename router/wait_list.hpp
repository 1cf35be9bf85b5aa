// Requests of one process that wait for capacity: who may try next, and when to look again.
//
// Waiters stand in lanes, one for each thing that can be full: a model group, or a caller's own
// limits. Within a lane the order is by priority, then by arrival, and only the first one tries, so
// that nobody overtakes; a lane that is stuck does not hold up another. What a try finds is the
// caller's affair: on success remove(), on refusal postpone() until the time that the refusal
// named.
//
// Nothing here waits: the caller sleeps until next_event() or until it hears that capacity came
// back.
//
// Thread safety: none; one for each thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "shm/clock.hpp"

namespace weir::router {

class WaitList {
 public:
    using Id = std::uint64_t;

    /// Later than every event.
    static constexpr shm::Nanos kNever = shm::Nanos::max();

    struct Waiter {
        std::uint64_t lane = 0;
        std::uint8_t priority = 0;     ///< lower first
        shm::Nanos ready_at{};         ///< not worth a try before
        shm::Nanos deadline = kNever;  ///< given up then
        std::uint64_t owner = 0;       ///< who waits, for the fair use of the list; 0: the operator
    };

    /// At most `depth_max` wait at once. An owner may have as many waiters as there are places free: one
    /// alone gets half of the list, two a third each, and there is always a place for a newcomer. Switches
    /// share a buffer by this rule (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
    /// packet switches", 1998).
    explicit WaitList(std::size_t depth_max) : depth_max_(depth_max) {}

    /// Lets one wait, behind those of its lane with the same priority. Nothing if the list is full, or this
    /// owner's part of it.
    std::optional<Id> add(const Waiter& waiter);

    /// How many of this owner wait.
    std::size_t waiting(std::uint64_t owner) const noexcept;

    /// Whether somebody waits in `lane` whom a newcomer of `priority` must not overtake.
    bool has_ahead(std::uint64_t lane, std::uint8_t priority) const;

    /// The first of `lane`; nothing if nobody waits there.
    std::optional<Id> head(std::uint64_t lane) const;

    /// The first by priority, then by arrival, of those that head their lane and are ready. Nothing
    /// is changed: the same one comes again until it is removed or postponed.
    std::optional<Id> next(shm::Nanos now) const;

    /// The one whose deadline has passed the longest ago, to be told so and removed.
    std::optional<Id> expired(shm::Nanos now) const;

    /// It has tried in vain: not again before `ready_at`. It may have met another obstacle: then it
    /// moves to that lane, to the place that its priority and its arrival give it there.
    void postpone(Id id, shm::Nanos ready_at, std::uint64_t lane);

    /// It is served, has given up, or its client has gone. Unknown ids are ignored.
    void remove(Id id);

    /// Capacity has come back before its time: the head of `lane` may try `at` that time, or that of every
    /// lane.
    void wake(std::uint64_t lane, shm::Nanos at);
    void wake_all(shm::Nanos at);

    /// When next() or expired() will have something new; kNever if nobody waits.
    shm::Nanos next_event() const;

    std::size_t size() const noexcept { return waiters_.size(); }

 private:
    using Place = std::pair<std::uint8_t, Id>;  // ids grow with arrival
    using Lane = std::set<Place>;

    void leave_lane(Id id, const Waiter& waiter);

    std::size_t depth_max_;
    Id next_id_ = 1;
    std::unordered_map<Id, Waiter> waiters_;
    std::unordered_map<std::uint64_t, std::size_t> owners_;  // how many of each wait; none is 0
    std::map<std::uint64_t, Lane> lanes_;  // none is empty
    std::set<std::pair<shm::Nanos, Id>> deadlines_;
};

}  // namespace weir::router
