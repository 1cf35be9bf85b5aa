// One shared limit as the coordinating process of a host sees it: how much of it the host needs.
//
// Fed with what the segment shows, it says how much to hold, when that is worth a word to the store, and when
// asking is in vain.
//
// Thread safety: none. Pure: time comes in as an argument.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "router/redis/lease_message.hpp"
#include "shm/lease.hpp"

namespace weir::router {

class LeaseLimit {
 public:
    /// A limit over `window`; 0: of what is in flight. Requests wait for a lease up to `patience`. `fresh`:
    /// the limit has just been made, so that all that is wanted of it is wanted now.
    LeaseLimit(shm::Nanos window, shm::Nanos patience, bool fresh) noexcept;

    /// What the segment shows at `now`, while `hosts` share the limit. Call it several times in a unit().
    /// `late`: the store answers too late for who waits, and what was wanted in such a time is asked for in
    /// advance, for who comes next; 0: it does not.
    void observe(const shm::LeaseReading& reading, shm::Nanos now, std::uint64_t hosts = 1,
                 shm::Nanos late = {});

    /// The lease to go down to of one's own accord: it is idle, or far larger than what it is used for.
    std::optional<shm::Units> surplus(shm::Nanos now) const noexcept;

    /// Requests are waiting for more, and there is hope.
    bool urgent(shm::Nanos now) const noexcept;

    /// The same, or more will be needed soon: worth a beat of its own, at once.
    bool presses(shm::Nanos now) const noexcept;

    /// The same, or a good part can be given back: worth a beat that others may share.
    bool due(shm::Nanos now) const noexcept;

    /// Whether there is anything to report at all.
    bool active() const noexcept;

    /// Nothing is held or wanted, nor worth a word, and has not been for a while: for the time being it is
    /// enough to look once in a unit(), and when `wanted` grows.
    bool sleeps(shm::Nanos now) const noexcept;

    /// As of the latest observation.
    LeaseReport report() const noexcept;

    /// Whether the store may charge this host for it.
    bool charged_for() const noexcept { return reported_ != 0 || demanded_ != 0; }

    /// What there is to say when it is gone: nothing is held or used.
    LeaseReport farewell() const noexcept;

    /// The store knows `report` now, which is one of several of a registration; its answer is to come.
    void told(const LeaseReport& report, shm::Nanos now) noexcept;

    /// `report` has been answered by `lease`.
    void answered(const LeaseReport& report, shm::Units lease, shm::Nanos now) noexcept;

    /// Until then asking for more is in vain.
    shm::Nanos barren_until() const noexcept { return barren_until_; }

    const shm::LeaseReading& reading() const noexcept { return reading_; }

    /// The time in which it moves: a sixtieth of the window, 20 ms .. 1 s.
    shm::Nanos unit() const noexcept { return unit_; }

 private:
    void turn_to(std::int64_t slot) noexcept;
    bool streams() const noexcept;
    std::ptrdiff_t seen_in(std::ptrdiff_t units) const noexcept;
    shm::Units trickle() const noexcept;
    bool idle(shm::Nanos now) const noexcept;
    shm::Units stream() const noexcept;
    shm::Units headroom() const noexcept;
    shm::Units ask() const noexcept;
    shm::Units need() const noexcept;
    shm::Units charge() const noexcept;
    void count_waiting(shm::Nanos now);
    std::uint64_t wanted_within(shm::Nanos time, shm::Nanos now) const noexcept;

    shm::Nanos window_;
    shm::Nanos patience_;
    bool fresh_;
    std::uint64_t hosts_ = 1;  // as of the latest observation, as the next
    shm::Nanos late_{};
    shm::Nanos unit_;
    shm::LeaseReading reading_;
    bool seen_ = false;
    static constexpr std::int64_t kFlows = 33;  // this unit of time, and 32 whole ones
    std::int64_t slot_ = 0;                  // the number of the unit of time that flow_[0] counts
    std::array<shm::Units, kFlows> flow_{};  // charged in this unit of time and those before
    unsigned raises_ = 0;                    // how often more was needed in this unit of time …
    unsigned raises_before_ = 0;             // … and in the one before
    double pressure_ = 0;      // units refused lately, fading away
    shm::Nanos observed_{};
    std::deque<std::pair<shm::Nanos, std::uint64_t>> wants_;  // when `wanted` had reached what, of late
    shm::Nanos wanted_at_{};                                  // the latest of them
    shm::Units leaked_ = 0;                                   // wanted by requests that died waiting
    shm::Units outstanding_ = 0;                              // wanted by requests that wait now
    shm::Units missed_ = 0;                                   // wanted while the store was too late
    shm::Nanos busy_at_{};                                    // the latest sign of use
    shm::Units reported_ = 0;                                 // what the store charges this host
    shm::Units demanded_ = 0;                                 // what the store takes for its demand
    shm::Nanos reported_at_{};
    unsigned fruitless_ = 0;
    shm::Nanos barren_until_{};
    shm::Nanos content_until_{};  // a stream that runs low does not ask again before
    shm::Units asked_ = 0;        // by the latest report that was answered
};

}  // namespace weir::router
