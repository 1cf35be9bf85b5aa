// What makes a host's processes one of several hosts: the coordinator among them, and those who wait for it.
//
// Every process has a Coordination. One of them, elected by a lock in the segment that dies with its holder,
// talks to the Redis for all limits of the host. The others wake it when a request is short of units, and
// look for what it was given. Each of them sees to it that nobody is admitted by a lease that has run out.
//
// Thread safety: none; it belongs to the thread of the io_context. Process safety: all of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "router/config.hpp"
#include "router/doorbell.hpp"
#include "router/net.hpp"
#include "router/pulse.hpp"
#include "router/redis/lease_host.hpp"
#include "router/redis/lease_watch.hpp"
#include "router/redis/redis_client.hpp"
#include "router/redis/segment_leases.hpp"
#include "shm/lease.hpp"

namespace weir::router {

class Coordination {
 public:
    /// Before `pulse` and `segment` go, it must have been stopped.
    Coordination(asio::io_context& io, Pulse& pulse, const shm::Segment& segment,
                 const WeirSettings& settings);
    ~Coordination();
    Coordination(const Coordination&) = delete;
    Coordination& operator=(const Coordination&) = delete;

    /// Begins; what it has begun ends with stop() or with the io_context.
    void start();
    /// Also gives the coordinator's place back.
    void stop() noexcept;

    /// Stops, and if this is the last process of the host, first gives back what others can use meanwhile; by
    /// `deadline` at the latest.
    Task<void> leave(shm::Nanos deadline);

    /// Stops, in favour of `next`, which has other settings, and the same segment. Requests that have begun
    /// with this one's go by those from now on.
    void hand_over(std::shared_ptr<Coordination> next);

    /// To be called before each decision: nobody is admitted by a lease that has run out. Costs one load.
    void check(shm::Nanos now) {
        Coordination& one = latest();
        if (one.watch_.check(now)) one.wake();
    }

    /// Counts raised leases. To be read before a decision that may have to wait for more.
    std::uint64_t grants() const noexcept { return board_.grants(); }

    /// Waits until leases have been raised since grants() was `seen`, or `deadline`; wakes the coordinator
    /// first. False if there have been none.
    Task<bool> wait_for_more(std::uint64_t seen, shm::Nanos deadline);

    shm::LeaseMode mode() const noexcept { return board_.mode(); }
    shm::Nanos patience() const noexcept { return redis_.wait; }
    bool leads() const noexcept { return coordinator_ != nullptr; }

 private:
    class Coordinator;
    struct Waiting;

    Coordination& latest() noexcept {
        Coordination* one = this;
        while (one->next_) one = one->next_.get();
        return *one;
    }
    void elect(shm::Nanos now);
    void beat(shm::Nanos now);
    void lead();
    bool alone() const;
    void tell_raised();
    void ring();
    void wake();
    void watch_grants();
    void look_at_grants();
    void say(const std::string& what) const;

    asio::io_context& io_;
    const shm::Segment& segment_;
    std::string segment_name_;
    const RedisSettings redis_;
    const FailMode fail_mode_;
    const std::uint64_t expected_hosts_;
    shm::LeaseBoard board_;
    LeaseWatch watch_;
    // While it runs: what it becomes the coordinator with, and how it rings or is rung.
    std::unique_ptr<shm::LeaseBoard> place_;
    std::unique_ptr<Doorbell> bell_;
    std::shared_ptr<Coordinator> coordinator_;  // if this process is the one
    std::shared_ptr<Coordination> next_;        // if it has been handed over
    std::vector<Waiting*> waiting_;
    Timer grants_timer_;
    bool watching_ = false;
    shm::Nanos next_election_{};
    std::shared_ptr<Coordination*> self_;  // null once it is gone
};

}  // namespace weir::router
