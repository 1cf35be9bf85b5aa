#include "fake_server/session.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <utility>

namespace weir::fake_server {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using namespace asio::experimental::awaitable_operators;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kInputBytes = 8 << 10;
constexpr std::size_t kInputBytesMax = 512 << 10;  // holds the largest header
constexpr auto kLinger = std::chrono::seconds(1);
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Instant now() {
    using std::chrono::duration_cast;
    using std::chrono::nanoseconds;
    const auto monotonic = std::chrono::steady_clock::now().time_since_epoch();
    const auto unix = std::chrono::system_clock::now().time_since_epoch();
    return {duration_cast<nanoseconds>(monotonic).count(),
            duration_cast<nanoseconds>(unix).count()};
}

std::string address_of(const tcp::socket& socket) {
    ErrorCode error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    return error ? std::string() : peer.address().to_string();
}

}  // namespace

Session::Session(tcp::socket socket, Desk& desk, std::uint64_t number)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      desk_(desk),
      number_(number),
      remote_(address_of(socket_)),
      reader_(RequestReader::Limits{}),
      input_(kInputBytes, '\0') {
    ErrorCode ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
}

asio::awaitable<void> Session::run() {
    while (co_await read_request()) {
        Request& request = reader_.request();
        if (draining_) request.keep_alive = false;
        const std::uint64_t seq =
            desk_.handle(request, {number_, remote_}, arrived_, arrived_, delivery_);
        const End end = co_await send();
        if (seq != 0) desk_.ended(seq, end, now().monotonic_ns);
        if (end != End::complete || delivery_.finish != Finish::keep || draining_) break;
        reader_.next();
    }
    co_await finish();
}

void Session::drain() {
    draining_ = true;
    if (idle_) abort();
}

void Session::abort() {
    ErrorCode ignored;
    socket_.close(ignored);
    timer_.cancel();
}

RequestReader::State Session::feed() {
    std::string_view bytes(input_.data() + begin_, end_ - begin_);
    const RequestReader::State state = reader_.feed(bytes);
    begin_ = end_ - bytes.size();
    return state;
}

// Returns whether a request is there to be answered.
asio::awaitable<bool> Session::read_request() {
    idle_ = begin_ == end_;
    if (!idle_) arrived_ = now();
    for (;;) {
        if (begin_ != end_) {
            const RequestReader::State state = feed();
            if (state == RequestReader::State::complete) co_return true;
            if (state == RequestReader::State::bad) {
                desk_.refuse(reader_.error(), delivery_);
                co_await send();
                co_return false;
            }
            if (reader_.take_continue() && !co_await write(kContinue)) co_return false;
        }
        if (!co_await read_some()) co_return false;
        if (idle_) arrived_ = now();
        idle_ = false;
    }
}

asio::awaitable<bool> Session::read_some() {
    if (begin_ == end_) {
        begin_ = end_ = 0;
    } else if (begin_ > 0) {
        std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (end_ == input_.size()) {
        if (input_.size() >= kInputBytesMax) co_return false;
        input_.resize(input_.size() * 2);
    }
    const auto [error, count] = co_await socket_.async_read_some(
        asio::buffer(input_.data() + end_, input_.size() - end_), kAwait);
    end_ += count;
    co_return !error;
}

// Performs the delivery, pause by pause.
asio::awaitable<End> Session::send() {
    std::size_t sent = 0;
    for (const Pause& next : delivery_.pauses) {
        if (!co_await write({delivery_.wire.data() + sent, next.before - sent})) {
            co_return End::client_gone;
        }
        sent = next.before;
        if (!co_await pause(next.ns)) co_return End::client_gone;
    }
    const std::string_view rest(delivery_.wire.data() + sent, delivery_.wire.size() - sent);
    if (!co_await write(rest)) co_return End::client_gone;
    co_return delivery_.cut ? End::cut : End::complete;
}

asio::awaitable<bool> Session::write(std::string_view bytes) {
    if (bytes.empty()) co_return true;
    // Nearly always the kernel takes it all at once, and no coroutine need be suspended.
    ErrorCode error;
    const std::size_t at_once = socket_.write_some(asio::buffer(bytes), error);
    if (error && error != asio::error::would_block) co_return false;
    if (at_once == bytes.size()) co_return true;
    const auto [failed, count] =
        co_await asio::async_write(socket_, asio::buffer(bytes.substr(at_once)), kAwait);
    co_return !failed;
}

// Waits; false as soon as the client has closed its side.
asio::awaitable<bool> Session::pause(std::int64_t ns) {
    timer_.expires_after(std::chrono::nanoseconds(ns));
    bool watching = true;
    while (timer_.expiry() > std::chrono::steady_clock::now()) {
        if (!watching) {
            co_await timer_.async_wait(kAwait);
            co_return socket_.is_open();
        }
        const auto first = co_await (timer_.async_wait(kAwait) ||
                                     socket_.async_wait(tcp::socket::wait_read, kAwait));
        if (!socket_.is_open()) co_return false;
        if (first.index() == 0) co_return true;
        char byte = 0;
        ErrorCode error;
        const std::size_t count =
            socket_.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, error);
        if (error != asio::error::would_block && (error || count == 0)) co_return false;
        watching = false;  // more requests lie behind this one; nothing to be learnt any more
    }
    co_return true;
}

// Closes. What the client still sends is read for a moment: closing with unread bytes would reset
// the connection under an answer that has not been read.
asio::awaitable<void> Session::finish() {
    ErrorCode ignored;
    if (delivery_.finish == Finish::reset) {
        socket_.set_option(asio::socket_base::linger(true, 0), ignored);
        socket_.close(ignored);
    }
    if (!socket_.is_open()) co_return;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    timer_.expires_after(kLinger);
    for (bool reading = true; reading && socket_.is_open();) {
        const auto first =
            co_await (timer_.async_wait(kAwait) ||
                      socket_.async_read_some(asio::buffer(input_.data(), input_.size()), kAwait));
        reading = first.index() == 1 && !std::get<0>(std::get<1>(first));
    }
    socket_.close(ignored);
}

}  // namespace weir::fake_server
