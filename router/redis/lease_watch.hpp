// What each process of a host does about limits that hosts share, should the coordinator be stopped.
//
// A lease that has run out is noticed by whoever decides, before anybody is admitted by it. What the fail
// mode allows beyond that any process may take, too; it goes by the same times as the coordinator
// (lease_host.hpp), or by later ones where it does not know all that the coordinator knew.
//
// Thread safety: none. Process safety: all of it; the coordinator may be back at any moment.
#pragma once

#include <cstdint>

#include "router/config.hpp"
#include "shm/lease.hpp"

namespace weir::router {

class LeaseWatch {
 public:
    struct Rules {
        FailMode fail_mode = FailMode::share;
        std::uint64_t hosts_expected = 1;
        shm::Nanos lease = std::chrono::seconds(15);  ///< how long it is good without another beat
    };

    /// `board` must outlive it.
    LeaseWatch(shm::LeaseBoard& board, const Rules& rules) noexcept : board_(board), rules_(rules) {}

    /// Nobody is admitted by a lease that has run out: to be called before each decision, for one load. True
    /// if one has.
    bool check(shm::Nanos now) {
        const shm::Nanos guard = board_.guard();
        return guard != shm::Nanos(0) && now >= guard && fall_back(now);
    }

    /// Takes what the fail mode allows where the coordinator is not at work: to be called now and then. True
    /// if leases have been raised.
    bool look(shm::Nanos now);

 private:
    bool fall_back(shm::Nanos now);
    void lose_contact(const shm::LeaseContact& contact, shm::Nanos now);
    void reckon(const shm::LeaseContact& contact) noexcept;
    std::uint64_t hosts(const shm::LeaseContact& contact) const noexcept;

    shm::LeaseBoard& board_;
    Rules rules_;
    std::uint64_t sent_ = 0;  // the beats of which lost_at_ knows
    shm::Nanos lost_at_{};    // since when the host has been without a lease, or later
};

}  // namespace weir::router
