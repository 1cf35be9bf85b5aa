#include "router/connect_race.hpp"

#include <algorithm>

#include "router/shortage.hpp"

namespace weir::router {

Task<TransportError> ConnectRace::run(std::span<const Tcp::endpoint> endpoints, shm::Nanos deadline) {
    for (const Tcp::endpoint& endpoint : endpoints) {
        if (winner_ != nullptr || shm::now() >= deadline) break;
        begin(endpoint);
        co_await wait(std::min(shm::now() + kHeadStart, deadline));
    }
    co_await wait(deadline);
    const bool all_failed = running_ == 0 && runners_.size() == endpoints.size();
    for (Runner& runner : runners_) {
        ErrorCode ignored;
        if (&runner != winner_) runner.socket.close(ignored);
    }
    if (winner_ != nullptr) co_return TransportError::none;
    co_return all_failed ? failure() : TransportError::connect_timeout;
}

void ConnectRace::begin(const Tcp::endpoint& endpoint) {
    Runner& runner = runners_.emplace_back(Runner{Socket(executor_), endpoint});
    ErrorCode error;
    runner.socket.open(endpoint.protocol(), error);
    if (error) return note_failure(error);  // a host without IPv6, say
    ++running_;
    runner.socket.async_connect(
        endpoint, [self = shared_from_this(), &runner](ErrorCode failed) { self->arrive(runner, failed); });
}

void ConnectRace::arrive(Runner& runner, ErrorCode error) {
    --running_;
    if (!error && winner_ == nullptr) winner_ = &runner;
    if (error && winner_ == nullptr) note_failure(error);
    timer_.cancel();
}

void ConnectRace::note_failure(const ErrorCode& error) noexcept {
    if (!failure_ || is_own_shortage(failure_)) failure_ = error;
}

TransportError ConnectRace::failure() const noexcept {
    return is_own_shortage(failure_) ? TransportError::out_of_resources : TransportError::connect;
}

/// Until there is a winner, nobody runs any more, or the time has come.
Task<void> ConnectRace::wait(shm::Nanos until) {
    while (winner_ == nullptr && running_ > 0 && shm::now() < until) {
        timer_.expires_at(Timer::time_point(until));  // steady_clock is CLOCK_MONOTONIC
        co_await timer_.async_wait(kAwait);
    }
}

}  // namespace weir::router
