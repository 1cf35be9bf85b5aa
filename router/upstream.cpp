#include "router/upstream.hpp"

#include <algorithm>
#include <boost/asio/ip/basic_resolver.hpp>

namespace weir::router {
namespace {

/// An idle connection is asked whether it is still good only if it has been idle for this long:
/// under load the question would cost a system call for each request and say yes.
constexpr shm::Nanos kAskAfterIdle = std::chrono::milliseconds(500);

/// Trust in the system's certificates: read when it is first needed, and once in a process, for there are
/// hundreds of them, which take tens of milliseconds and two megabytes.
asio::ssl::context& system_trust() {
    static asio::ssl::context context = [] {
        asio::ssl::context made(asio::ssl::context::tls_client);
        ErrorCode ignored;  // without certificates every handshake fails, and says so
        made.set_default_verify_paths(ignored);
        return made;
    }();
    return context;
}

}  // namespace

Upstream::Upstream(asio::io_context& io, Pulse& pulse, const Url& url,
                   const ConnectionSettings& settings)
    : io_(io), pulse_(pulse), url_(url), settings_(settings) {
    if (url_.tls && !settings_.ca_file.empty()) {
        tls_ = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
        tls_->load_verify_file(settings_.ca_file);
    }
    pulse_.on_beat([this](shm::Nanos now) { close_idle(now); });
}

Task<Upstream::Acquired> Upstream::acquire(bool fresh) {
    if (!fresh) {
        if (auto connection = take_idle()) co_return Acquired{std::move(connection)};
    }
    const shm::Nanos deadline = shm::now() + settings_.connect_timeout;
    while (open_ >= settings_.max_per_upstream) {
        if (auto connection = take_idle()) {
            if (!fresh) co_return Acquired{std::move(connection)};
            release(std::move(connection), false);
        } else if (!co_await wait_for_room(deadline)) {
            co_return Acquired{nullptr, TransportError::connect_timeout};
        }
    }
    ++open_;
    auto connection = std::make_unique<Connection>(io_, pulse_);
    const TransportError error = co_await connect(*connection, deadline);
    if (error == TransportError::none) co_return Acquired{std::move(connection)};
    release(std::move(connection), false);
    co_return Acquired{nullptr, error};
}

void Upstream::release(std::unique_ptr<Connection> connection, bool keep) {
    if (!connection) return;
    connection->clear_deadline();
    if (keep) {
        connection->reused = true;
        connection->idle_since = shm::now();
        idle_.push_back(std::move(connection));
    } else {
        connection->close();
        connection.reset();
        --open_;
    }
    let_one_in();
}

std::unique_ptr<Connection> Upstream::take_idle() {
    while (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        const bool ask = shm::now() - connection->idle_since > kAskAfterIdle;
        if (!ask || !connection->is_stale()) return connection;
        --open_;
    }
    return nullptr;
}

Task<bool> Upstream::wait_for_room(shm::Nanos deadline) {
    Turn turn{Timer(io_), false};
    turn.timer.expires_at(Timer::time_point(deadline));  // steady_clock is CLOCK_MONOTONIC
    waiting_.push_back(&turn);
    co_await turn.timer.async_wait(kAwait);
    // Being called may coincide with the end of the patience: only `called` says who was first.
    if (!turn.called) waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &turn));
    co_return turn.called;
}

void Upstream::let_one_in() {
    if (waiting_.empty()) return;
    Turn* first = waiting_.front();
    waiting_.pop_front();
    first->called = true;
    first->timer.cancel();
}

Task<TransportError> Upstream::connect(Connection& connection, shm::Nanos deadline) {
    if (const auto error = co_await resolve(); error != TransportError::none) co_return error;
    const auto endpoints = endpoints_;  // another request may resolve anew meanwhile
    const auto error = co_await connection.connect(endpoints, deadline);
    if (error != TransportError::none) {
        resolved_at_ = {};  // the name may have moved
        co_return error;
    }
    if (!url_.tls) co_return TransportError::none;
    asio::ssl::context& trust = tls_ ? *tls_ : system_trust();
    co_return co_await connection.handshake(trust, url_.host, deadline);
}

Task<TransportError> Upstream::resolve() {
    if (!endpoints_.empty() && shm::now() - resolved_at_ < settings_.dns_ttl &&
        resolved_at_ != shm::Nanos{}) {
        co_return TransportError::none;
    }
    ErrorCode not_numeric;
    const auto address = asio::ip::make_address(url_.host, not_numeric);
    if (!not_numeric) {
        endpoints_ = {Tcp::endpoint(address, url_.port)};
        resolved_at_ = shm::now();
        co_return TransportError::none;
    }
    asio::ip::basic_resolver<Tcp, Executor> resolver(io_);
    const auto [error, results] =
        co_await resolver.async_resolve(url_.host, std::to_string(url_.port), kAwait);
    if (error || results.empty()) {
        // An old address is better than none.
        co_return endpoints_.empty() ? TransportError::resolve : TransportError::none;
    }
    endpoints_.clear();
    for (const auto& entry : results) endpoints_.push_back(entry.endpoint());
    resolved_at_ = shm::now();
    co_return TransportError::none;
}

void Upstream::close_idle(shm::Nanos now) {
    while (!idle_.empty() && now - idle_.front()->idle_since > settings_.idle_timeout) {
        idle_.erase(idle_.begin());
        --open_;
    }
}

}  // namespace weir::router
