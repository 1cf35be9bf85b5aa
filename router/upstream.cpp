#include "router/upstream.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

namespace weir::router {
namespace {

/// An idle connection is asked whether it is still good only if it has been idle for this long:
/// under load the question would cost a system call for each request and say yes.
constexpr shm::Nanos kAskAfterIdle = std::chrono::milliseconds(500);

/// When to ask again for addresses if nobody knew them, and for how long at least to leave the
/// connections that are there in peace.
constexpr shm::Nanos kLookUpAgain = std::chrono::seconds(1);

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
                   const ConnectionSettings& settings, Resolver resolver)
    : io_(io), pulse_(pulse), url_(url), settings_(settings), resolver_(std::move(resolver)) {
    ErrorCode is_name;
    const auto address = asio::ip::make_address(url_.host, is_name);
    if (!is_name) {
        endpoints_ = {Tcp::endpoint(address, url_.port)};
        good_until_ = kNever;
    } else if (!resolver_) {
        resolver_ = system_resolver(io_);
    }
    if (url_.tls && !settings_.ca_file.empty()) {
        tls_ = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
        tls_->load_verify_file(settings_.ca_file);
    }
    pulse_.on_beat([this](shm::Nanos now) {
        close_idle(now);
        refresh(now);
    });
}

Upstream::~Upstream() { *self_ = nullptr; }

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
    if (keep && is_current(*connection)) {
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
        if (good_until_ != kNever) good_until_ = {};  // the name may have moved
        co_return error;
    }
    if (!url_.tls) co_return TransportError::none;
    asio::ssl::context& trust = tls_ ? *tls_ : system_trust();
    co_return co_await connection.handshake(trust, url_.host, deadline);
}

Task<TransportError> Upstream::resolve() {
    if (shm::now() >= good_until_) co_await look_up();
    co_return endpoints_.empty() ? TransportError::resolve : TransportError::none;
}

/// An old address is better than none.
Task<void> Upstream::look_up() {
    const auto self = self_;
    auto found = co_await resolver_(url_.host, url_.port);
    if (*self == nullptr) co_return;
    const shm::Nanos now = shm::now();
    if (found.empty()) {
        if (!endpoints_.empty()) good_until_ = now + std::min(settings_.dns_ttl, kLookUpAgain);
        co_return;
    }
    endpoints_before_ = std::exchange(endpoints_, std::move(found));
    good_until_ = now + settings_.dns_ttl;
    drop_outdated();
}

void Upstream::refresh(shm::Nanos now) {
    const shm::Nanos grace = settings_.dns_ttl == shm::Nanos{} ? kLookUpAgain : shm::Nanos{};
    if (open_ == 0 || looking_up_ || good_until_ == kNever || now < good_until_ + grace) return;
    looking_up_ = true;
    asio::co_spawn(io_.get_executor(), look_up(), [self = self_](std::exception_ptr) {
        if (*self != nullptr) (*self)->looking_up_ = false;
    });
}

bool Upstream::is_current(const Connection& connection) const {
    const auto has = [&](const std::vector<Tcp::endpoint>& named) {
        return std::find(named.begin(), named.end(), connection.peer()) != named.end();
    };
    return has(endpoints_) || has(endpoints_before_);
}

void Upstream::drop_outdated() {
    open_ -= std::erase_if(idle_, [&](const auto& connection) { return !is_current(*connection); });
    let_one_in();
}

void Upstream::close_idle(shm::Nanos now) {
    while (!idle_.empty() && now - idle_.front()->idle_since > settings_.idle_timeout) {
        idle_.erase(idle_.begin());
        --open_;
    }
}

}  // namespace weir::router
