#include "router/connection.hpp"

#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_suffix.hpp>
#include <cstring>
#include <utility>

#include "router/connect_race.hpp"
#include "router/round_trip.hpp"
#include "router/shortage.hpp"
#include "router/tls_client.hpp"

namespace weir::router {

namespace {

/// When to look whether a peer has left, and how often if it has sent something nobody reads yet. Most
/// answers come sooner, and those pay nothing: to be told of its leaving costs a system call.
constexpr shm::Nanos kLookAgain = std::chrono::milliseconds(50);

/// A peer is asked after so many seconds of silence, and is gone if it does not answer so many times.
constexpr int kProbeAfter = 5;
constexpr int kProbeEvery = 1;
constexpr int kProbes = 3;

}  // namespace

Connection::Connection(asio::io_context& io, Pulse& pulse) : pulse_(pulse), of_client_(false), socket_(io) {
    pulse.watch(*this);
}

Connection::Connection(Socket socket, Pulse& pulse)
    : pulse_(pulse), of_client_(true), socket_(std::move(socket)) {
    ErrorCode ignored;
    socket_.set_option(Tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    pulse.watch(*this);
}

Connection::~Connection() {
    if (!peer_watch_) return;
    peer_watch_->connection = nullptr;
    peer_watch_->clear_deadline();
}

Task<TransportError> Connection::connect(std::span<const Tcp::endpoint> endpoints,
                                         shm::Nanos deadline) {
    const auto race = std::make_shared<ConnectRace>(socket_.get_executor());
    const TransportError error = co_await race->run(endpoints, deadline);
    if (error != TransportError::none) {
        reason_ = race->reason();
        co_return error;
    }
    socket_ = std::move(race->socket());
    peer_ = race->peer();
    ErrorCode ignored;
    socket_.set_option(Tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    co_return TransportError::none;
}

Task<TransportError> Connection::handshake(asio::ssl::context& context, const std::string& host,
                                           shm::Nanos deadline) {
    reset_expired();
    set_deadline(deadline);
    tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, context);
    if (!expect_host(tls_->native_handle(), host)) co_return TransportError::out_of_resources;
    const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kAwait);
    clear_deadline();
    if (expired()) co_return TransportError::connect_timeout;
    if (!error) co_return TransportError::none;
    if (!has_descriptors()) co_return TransportError::out_of_resources;  // not even for certificates
    reason_ = handshake_failure(tls_->native_handle(), error);
    co_return TransportError::tls;
}

Task<TransportError> Connection::accept_tls(asio::ssl::context& context, shm::Nanos deadline) {
    reset_expired();
    set_deadline(deadline);
    tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, context);
    const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kAwait);
    clear_deadline();
    if (expired()) co_return TransportError::connect_timeout;
    co_return error ? TransportError::tls : TransportError::none;
}

Task<ErrorCode> Connection::write(std::span<const asio::const_buffer> pieces) {
    // Nearly always there is room for all of it at once, and nothing to wait for.
    ErrorCode failed;
    const std::size_t sent = write_now(pieces, failed);
    if (failed || sent == asio::buffer_size(pieces)) co_return failed;
    co_return co_await write_rest(pieces, sent);
}

std::size_t Connection::write_now(std::span<const asio::const_buffer> pieces, ErrorCode& error) {
    error = {};
    if (tls_) return 0;
    const std::size_t sent = socket_.write_some(pieces, error);
    if (error == asio::error::would_block) error = {};
    return sent;
}

Task<ErrorCode> Connection::write_rest(std::span<const asio::const_buffer> pieces, std::size_t written) {
    boost::beast::buffers_suffix<std::span<const asio::const_buffer>> rest(pieces);
    rest.consume(written);
    const auto [error, count] = tls_ ? co_await asio::async_write(*tls_, rest, kAwait)
                                     : co_await asio::async_write(socket_, rest, kAwait);
    co_return error;
}

void Connection::stop_writing() noexcept {
    ErrorCode ignored;
    socket_.cancel(ignored);
}

Task<ErrorCode> Connection::read_some() {
    make_room();
    const asio::mutable_buffer room(in_.data() + end_, in_.size() - end_);
    if (room.size() == 0) co_return asio::error::no_buffer_space;
    reading_ = true;
    if (peer_watch_) peer_watch_->clear_deadline();
    const auto [error, count] = tls_ ? co_await tls_->async_read_some(room, kAwait)
                                     : co_await socket_.async_read_some(room, kAwait);
    reading_ = false;
    end_ += count;
    co_return error;
}

void Connection::make_room() {
    if (begin_ == end_) begin_ = end_ = 0;
    if (end_ < in_.size()) return;
    if (begin_ > 0) {
        std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    } else if (in_.size() < kBufferMax) {
        in_.resize(in_.empty() ? kBufferMin : in_.size() * 2);
    }
}

bool Connection::is_stale() noexcept {
    // Whatever is there to be read from an idle connection, an end or bytes, nobody asked for.
    if (begin_ != end_ || has_pending_tls()) return true;
    char byte;
    return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/// Whether there is something to be read that the socket no longer has: TLS reads ahead.
bool Connection::has_pending_tls() noexcept {
    if (!tls_) return false;
    SSL* const tls = tls_->native_handle();
    return SSL_has_pending(tls) == 1 || BIO_ctrl_pending(SSL_get_rbio(tls)) > 0;
}

shm::Nanos Connection::shortest_round_trip() noexcept {
    return router::shortest_round_trip(socket_.native_handle());
}

void Connection::probe_when_idle() noexcept {
    const auto set = [this](int level, int option, int value) {
        ::setsockopt(socket_.native_handle(), level, option, &value, sizeof value);
    };
    set(IPPROTO_TCP, TCP_KEEPIDLE, kProbeAfter);
    set(IPPROTO_TCP, TCP_KEEPINTVL, kProbeEvery);
    set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
}

void Connection::watch_peer(std::function<void(PeerGone)> gone) {
    if (!peer_watch_) {
        peer_watch_ = std::make_shared<PeerWatch>(this, std::move(gone));
        pulse_.watch(*peer_watch_);
    }
    peer_watch_->set_deadline(shm::now() + kLookAgain);
}

/// The wait stays from one request to the next: it ends, at no cost but a wakeup that is due
/// anyway, when the next request's bytes arrive.
void Connection::await_peer() {
    if (peer_watch_->waiting) return;
    peer_watch_->waiting = true;
    socket_.async_wait(Socket::wait_read, [watch = peer_watch_](ErrorCode error) {
        watch->waiting = false;
        if (!error) watch->look();
    });
}

/// Not by reading: bytes may be the next request, early, or TLS's farewell before the end. As long as
/// they lie there, waiting for something to read would end at once, again and again.
void Connection::PeerWatch::look() noexcept {
    if (!connection || connection->reading_) return;
    pollfd state{connection->socket_.native_handle(), POLLIN | POLLRDHUP, 0};
    if (::poll(&state, 1, 0) <= 0) return connection->await_peer();
    if (state.revents == POLLIN) return set_deadline(shm::now() + kLookAgain);
    gone((state.revents & (POLLERR | POLLHUP)) != 0 ? PeerGone::reset : PeerGone::closed);
}

void Connection::on_deadline() noexcept {
    if (!of_client_) return close();
    ErrorCode ignored;
    socket_.cancel(ignored);
}

void Connection::finish_writing() noexcept {
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
}

void Connection::close() noexcept {
    ErrorCode ignored;
    socket_.close(ignored);
}

}  // namespace weir::router
