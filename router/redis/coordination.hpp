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
    /// `settings` must outlive it. Before `pulse` goes, it must have gone.
    Coordination(asio::io_context& io, Pulse& pulse, const shm::Segment& segment,
                 const WeirSettings& settings);
    ~Coordination();
    Coordination(const Coordination&) = delete;
    Coordination& operator=(const Coordination&) = delete;

    /// Begins; what it has begun ends with stop() or with the io_context.
    void start();
    void stop() noexcept;

    /// To be called before each decision: nobody is admitted by a lease that has run out. Costs one load.
    void check(shm::Nanos now) {
        if (watch_.check(now)) wake();
    }

    /// Counts raised leases. To be read before a decision that may have to wait for more.
    std::uint64_t grants() const noexcept { return board_.grants(); }

    /// Waits until leases have been raised since grants() was `seen`, or `deadline`; wakes the coordinator
    /// first. False if there have been none.
    Task<bool> wait_for_more(std::uint64_t seen, shm::Nanos deadline);

    shm::LeaseMode mode() const noexcept { return board_.mode(); }
    shm::Nanos patience() const noexcept { return settings_.redis.wait; }
    bool leads() const noexcept { return coordinator_ != nullptr; }

 private:
    class Coordinator;
    struct Waiting;

    void beat(shm::Nanos now);
    void lead();
    void tell_raised();
    void ring();
    void wake();
    void watch_grants();
    void look_at_grants();
    void say(const std::string& what) const;

    asio::io_context& io_;
    const WeirSettings& settings_;
    std::string segment_name_;
    shm::LeaseBoard board_;
    LeaseWatch watch_;
    bool running_ = false;
    std::shared_ptr<Coordinator> coordinator_;  // if this process is the one
    Doorbell bell_;
    std::vector<Waiting*> waiting_;
    Timer grants_timer_;
    bool watching_ = false;
    shm::Nanos next_election_{};
    std::shared_ptr<Coordination*> self_;  // null once it is gone
};

}  // namespace weir::router
