#include "router/doorbell.hpp"

#include <fmt/format.h>

#include <boost/asio/error.hpp>
#include <array>
#include <utility>

namespace weir::router {
namespace {

/// Taken off the socket in one go; what is left brings the next call at once.
constexpr int kRingsAtOnce = 64;

}  // namespace

Doorbell::Doorbell(asio::io_context& io, std::string house, std::uint32_t own, std::function<void()> on_ring)
    : Doorbell(io, std::move(house), std::move(on_ring)) {
    hang(own);
}

Doorbell::Doorbell(asio::io_context& io, std::string house, std::function<void()> on_ring)
    : socket_(io), house_(std::move(house)), on_ring_(std::move(on_ring)) {
    ErrorCode error;
    socket_.open(Protocol(), error);
    if (!error) socket_.non_blocking(true, error);
    if (error) socket_.close(error);  // deaf and mute
}

Doorbell::~Doorbell() { *self_ = nullptr; }

/// A name that begins with a zero byte is in the abstract namespace. A long house keeps its end, where
/// what tells it from others of the same name stands.
Doorbell::Protocol::endpoint Doorbell::address(std::uint32_t who) const {
    constexpr std::size_t kHouseMax = 80;
    const std::size_t cut = house_.size() > kHouseMax ? house_.size() - kHouseMax : 0;
    return Protocol::endpoint(std::string(1, '\0') +
                              fmt::format("weir/{}/{}", std::string_view(house_).substr(cut), who));
}

bool Doorbell::hang(std::uint32_t own) {
    ErrorCode error;
    socket_.bind(address(own), error);
    there_ = !error;
    return there_;
}

void Doorbell::listen() {
    listening_ = there_;
    if (listening_ && !awaiting_) await_ring();
}

void Doorbell::ignore() noexcept {
    if (!std::exchange(listening_, false)) return;
    ErrorCode ignored;
    socket_.cancel(ignored);
}

void Doorbell::ring(std::uint32_t who) noexcept {
    ErrorCode ignored;  // a full one will be heard anyway
    socket_.send_to(asio::const_buffer(), address(who), 0, ignored);
}

void Doorbell::await_ring() {
    awaiting_ = true;
    socket_.async_wait(Protocol::socket::wait_read, [self = self_](ErrorCode error) {
        Doorbell* const bell = *self;
        if (bell == nullptr) return;
        bell->awaiting_ = false;
        if (!bell->listening_) return;
        if (!error) bell->hear();
        const bool goes_on = !error || error == asio::error::operation_aborted;  // by an ignore() since
        if (goes_on && bell->listening_ && !bell->awaiting_) bell->await_ring();
    });
}

void Doorbell::hear() {
    std::array<char, 1> nothing;
    ErrorCode error;
    for (int i = 0; i < kRingsAtOnce && !error; ++i) socket_.receive(asio::buffer(nothing), 0, error);
    on_ring_();
}

}  // namespace weir::router
