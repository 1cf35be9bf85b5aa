#include "router/pulse.hpp"

namespace weir::router {

void Pulse::start() {
    if (running_) return;
    running_ = true;
    schedule();
}

void Pulse::stop() noexcept {
    running_ = false;
    timer_.cancel();
}

void Pulse::schedule() {
    timer_.expires_after(kBeat);
    // A beat that is due may still be in the queue when the Pulse goes.
    timer_.async_wait([self = self_](ErrorCode error) {
        Pulse* pulse = *self;
        if (error || !pulse || !pulse->running_) return;
        pulse->beat(shm::now());
        pulse->schedule();
    });
}

void Pulse::beat(shm::Nanos now) {
    for (Waiter& waiter : waiters_) {
        if (waiter.deadline_ > now) continue;
        waiter.deadline_ = kNever;
        waiter.expired_ = true;
        waiter.on_deadline();
    }
    for (const auto& task : tasks_) task(now);
}

}  // namespace weir::router
