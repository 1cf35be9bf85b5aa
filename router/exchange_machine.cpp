#include "router/exchange_machine.hpp"

namespace weir::router {
namespace {

constexpr unsigned kSwitchingProtocols = 101;
constexpr unsigned kRequestTimeout = 408;
constexpr unsigned kSuccessEnd = 300;

}  // namespace

void ExchangeMachine::begin(bool reused) noexcept {
    parser_.reset();
    pieces_.clear();
    reason_ = {};
    error_ = TransportError::none;
    interims_ = 0;
    reused_ = reused;
    writing_ = true;
    sent_whole_ = heard_ = dead_ = head_handed_on_ = false;
}

void ExchangeMachine::written(bool whole) noexcept {
    writing_ = false;
    sent_whole_ = whole;
}

void ExchangeMachine::handed_on() noexcept {
    head_handed_on_ = true;
    pieces_.clear();
}

std::size_t ExchangeMachine::received(std::string_view bytes) {
    pieces_.clear();
    heard_ |= !bytes.empty();
    std::size_t used = parser_.read(bytes, pieces_);
    while (parser_.state() == ResponseParser::State::interim) {
        take_interim();
        if (error_ != TransportError::none) return used;
        used += parser_.read(bytes.substr(used), pieces_);
    }
    if (parser_.state() == ResponseParser::State::bad) fail(TransportError::malformed);
    return used;
}

/// 100, 102 and 103 only announce the answer.
void ExchangeMachine::take_interim() noexcept {
    if (parser_.status() == kSwitchingProtocols) {
        return fail(TransportError::malformed, "it switches to another protocol, which nobody asked for");
    }
    if (++interims_ > kInterimMax) return fail(TransportError::malformed, "it has too many interim answers");
    parser_.go_on();
}

void ExchangeMachine::ended(End how) noexcept {
    pieces_.clear();
    const bool answered = parser_.head_done();
    switch (how) {
        case End::overdue:
            return fail(answered ? TransportError::stalled : TransportError::first_byte_timeout);
        case End::full:
            return fail(TransportError::malformed, "a part of it is too large");
        case End::closed:
            if (parser_.end()) return;
            break;
        case End::broken:
            break;
    }
    fail(heard_ ? TransportError::broken : TransportError::closed);
}

bool ExchangeMachine::may_have_been_dead() const noexcept {
    if (!reused_ || dead_) return false;
    if (error_ == TransportError::closed) return true;
    return error_ == TransportError::none && parser_.head_done() && parser_.status() == kRequestTimeout &&
           !parser_.keep_alive();
}

void ExchangeMachine::settle_dead(shm::Nanos since, shm::Nanos round_trip) noexcept {
    if (!may_have_been_dead() || since > round_trip + kDeadOnArrival) return;
    dead_ = true;
    fail(TransportError::closed);
}

ExchangeMachine::Action ExchangeMachine::action() const noexcept {
    if (error_ != TransportError::none) return writing_ ? Action::stop_writing : Action::give_up;
    if (!parser_.head_done()) return Action::read;
    if (head_handed_on_) return done() || !pieces_.empty() ? Action::hand_on : Action::read;
    if (!writing_) return Action::hand_on;
    return parser_.status() < kSuccessEnd ? Action::finish_writing : Action::stop_writing;
}

bool ExchangeMachine::reusable(std::size_t unread) const noexcept {
    return done() && error_ == TransportError::none && sent_whole_ && unread == 0 && parser_.keep_alive();
}

void ExchangeMachine::fail(TransportError error, std::string_view reason) noexcept {
    error_ = error;
    reason_ = reason;
    pieces_.clear();
}

}  // namespace weir::router
