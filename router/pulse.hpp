// A slow beat for everything that waits with a deadline.
//
// A timer for each read and each write would cost two system calls a request. Instead a deadline
// is a number that a sweep looks at kBeat apart: setting and clearing it costs a store, and it is
// met at most one beat late, never early.
//
// Thread safety: none; all of it belongs to the thread of the io_context.
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "router/net.hpp"
#include "shm/clock.hpp"

namespace weir::router {

inline constexpr shm::Nanos kNever = shm::Nanos::max();

/// Something that must not wait for ever. Leaves the pulse by itself when it is destroyed.
class Waiter : public boost::intrusive::list_base_hook<
                   boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
    /// CLOCK_MONOTONIC; kNever for none.
    void set_deadline(shm::Nanos at) noexcept { deadline_ = at; }
    void clear_deadline() noexcept { deadline_ = kNever; }

    /// Whether the last deadline passed; reset by reset_expired.
    bool expired() const noexcept { return expired_; }
    void reset_expired() noexcept { expired_ = false; }

 protected:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;

    /// Called once the deadline has passed: cancel what is being waited for. Must not destroy any
    /// Waiter.
    virtual void on_deadline() noexcept = 0;

 private:
    friend class Pulse;
    shm::Nanos deadline_ = kNever;
    bool expired_ = false;
};

class Pulse {
 public:
    static constexpr std::chrono::milliseconds kBeat{50};

    explicit Pulse(asio::io_context& io) : timer_(io) {}
    ~Pulse() { *self_ = nullptr; }
    Pulse(const Pulse&) = delete;
    Pulse& operator=(const Pulse&) = delete;

    /// Begins to beat; until then no deadline is met.
    void start();

    /// Ends it, so that the io_context can run out of work.
    void stop() noexcept;

    void watch(Waiter& waiter) noexcept { waiters_.push_back(waiter); }

    /// Calls `task` at every beat. There is no way to leave: `task` must outlive the pulse.
    void on_beat(std::function<void(shm::Nanos now)> task) { tasks_.push_back(std::move(task)); }

 private:
    void schedule();
    void beat(shm::Nanos now);

    Timer timer_;
    bool running_ = false;
    std::shared_ptr<Pulse*> self_ = std::make_shared<Pulse*>(this);  // null once it is gone
    boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>> waiters_;
    std::vector<std::function<void(shm::Nanos)>> tasks_;
};

}  // namespace weir::router
