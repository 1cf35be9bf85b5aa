#include "router/upstream.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "router/shortage.hpp"

namespace weir::router {
namespace {

/// How often to look whether idle connections are still good. What is used is looked at before, always.
constexpr shm::Nanos kLookAfterIdle = std::chrono::seconds(1);

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

Task<Upstream::Acquired> Upstream::acquire(bool fresh, shm::Nanos deadline) {
    if (!fresh) {
        if (auto connection = take_idle()) co_return Acquired{std::move(connection)};
    }
    deadline = std::min(deadline, shm::now() + settings_.connect_timeout);
    while (open_ >= settings_.max_per_upstream) {
        if (auto connection = take_idle()) {
            if (!fresh) co_return Acquired{std::move(connection)};
            release(std::move(connection), false);
        } else if (!co_await wait_in(waiting_, deadline)) {
            co_return Acquired{nullptr, TransportError::pool_full};
        }
    }
    ++open_;
    auto connection = std::make_unique<Connection>(io_, pulse_);
    const TransportError error = co_await connect(*connection, deadline);
    if (error == TransportError::none) co_return Acquired{std::move(connection)};
    Acquired failed{nullptr, error, connection->reason()};
    release(std::move(connection), false);
    co_return failed;
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
    call_first(waiting_);
}

std::unique_ptr<Connection> Upstream::take_idle() {
    while (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        if (!connection->is_stale()) return connection;
        --open_;
    }
    return nullptr;
}

Task<bool> Upstream::wait_in(Queue& queue, shm::Nanos deadline) {
    Turn turn{Timer(io_), false};
    turn.timer.expires_at(Timer::time_point(deadline));  // steady_clock is CLOCK_MONOTONIC
    queue.push_back(&turn);
    co_await turn.timer.async_wait(kAwait);
    // Being called may coincide with the end of the patience: only `called` says who was first.
    if (!turn.called) queue.erase(std::find(queue.begin(), queue.end(), &turn));
    co_return turn.called;
}

void Upstream::call_first(Queue& queue) {
    if (queue.empty()) return;
    Turn* first = queue.front();
    queue.pop_front();
    first->called = true;
    first->timer.cancel();
}

Task<TransportError> Upstream::connect(Connection& connection, shm::Nanos deadline) {
    if (const auto error = co_await resolve(deadline); error != TransportError::none) co_return error;
    const auto endpoints = endpoints_;  // another request may resolve anew meanwhile
    const auto error = co_await connection.connect(endpoints, deadline);
    if (error != TransportError::none) {
        if (error != TransportError::out_of_resources) distrust_addresses();  // the name may have moved
        co_return error;
    }
    prefer(connection.peer());
    if (!url_.tls) co_return TransportError::none;
    asio::ssl::context& trust = tls_ ? *tls_ : system_trust();
    co_return co_await connection.handshake(trust, url_.host, deadline);
}

void Upstream::prefer(const Tcp::endpoint& address) {
    const auto found = std::find(endpoints_.begin(), endpoints_.end(), address);
    if (found != endpoints_.end()) std::rotate(endpoints_.begin(), found, found + 1);
}

Task<TransportError> Upstream::resolve(shm::Nanos deadline) {
    const shm::Nanos now = shm::now();
    if (now < good_until_) co_return TransportError::none;
    begin_look_up();
    // An old address is better than none, while there is time to try it.
    const shm::Nanos until = endpoints_.empty() ? deadline : now + (deadline - now) / 2;
    bool looked_up = !looking_up_;  // who knows the answer says it at once
    if (!looked_up) looked_up = co_await wait_in(asking_, until);
    if (!endpoints_.empty()) co_return TransportError::none;
    if (!looked_up) co_return TransportError::connect_timeout;
    co_return has_descriptors() ? TransportError::resolve : TransportError::out_of_resources;
}

void Upstream::begin_look_up() {
    if (looking_up_) return;
    looking_up_ = true;
    asio::co_spawn(io_.get_executor(), look_up(), [self = self_](std::exception_ptr) {
        if (*self != nullptr) (*self)->end_look_up();
    });
}

void Upstream::end_look_up() {
    looking_up_ = false;
    while (!asking_.empty()) call_first(asking_);
}

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

void Upstream::distrust_addresses() noexcept {
    if (good_until_ != kNever) good_until_ = {};
}

void Upstream::refresh(shm::Nanos now) {
    const shm::Nanos grace = settings_.dns_ttl == shm::Nanos{} ? kLookUpAgain : shm::Nanos{};
    if (open_ == 0 || good_until_ == kNever || now < good_until_ + grace) return;
    begin_look_up();
}

bool Upstream::is_current(const Connection& connection) const {
    const auto has = [&](const std::vector<Tcp::endpoint>& named) {
        return std::find(named.begin(), named.end(), connection.peer()) != named.end();
    };
    return has(endpoints_) || has(endpoints_before_);
}

void Upstream::drop_outdated() {
    open_ -= std::erase_if(idle_, [&](const auto& connection) { return !is_current(*connection); });
    call_first(waiting_);
}

void Upstream::close_idle(shm::Nanos now) {
    while (!idle_.empty() && now - idle_.front()->idle_since > settings_.idle_timeout) {
        idle_.erase(idle_.begin());
        --open_;
    }
    if (now - looked_after_ < kLookAfterIdle) return;
    looked_after_ = now;
    open_ -= std::erase_if(idle_, [](const auto& connection) { return connection->is_stale(); });
}

}  // namespace weir::router
