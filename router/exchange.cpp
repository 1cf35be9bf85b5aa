#include "router/exchange.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "router/shortage.hpp"

namespace weir::router {
namespace {

/// So much of an idle connection's request fits into the system's buffer: to write it never waits.
constexpr std::size_t kFitsAtOnce = 16u << 10;

}  // namespace

// Only here is the connection handed back: the last pieces of the body lie in its buffer.
Exchange::~Exchange() {
    const bool keep = connection_ && !aborted_ && machine_.reusable(connection_->unread().size());
    upstream_.release(std::move(connection_), keep);
}

std::int64_t Exchange::content_length() const noexcept {
    const auto length = machine_.answer().content_length();
    return length ? static_cast<std::int64_t>(*length) : -1;
}

Task<TransportError> Exchange::start(Request request, shm::Nanos deadline, bool fresh) {
    if (!fresh) connection_ = upstream_.take_idle();  // most often there is one, and nothing to wait for
    if (!connection_) {
        const TransportError error = co_await connect(fresh, deadline);
        if (error != TransportError::none) co_return error;
    }
    if (aborted_) co_return TransportError::connect;  // nothing was sent
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    machine_.begin(connection_->reused);
    if (connection_->reused) began_ = shm::now();
    std::size_t sent = 0;
    if (!send_at_once(request, sent)) co_await send_on(request, sent);
    co_await read_on();
    connection_->clear_deadline();
    settle_dead();
    co_return machine_.error();
}

Task<TransportError> Exchange::connect(bool fresh, shm::Nanos deadline) {
    auto acquired = co_await upstream_.acquire(fresh, deadline);
    connection_ = std::move(acquired.connection);
    reason_ = std::move(acquired.reason);
    co_return acquired.error;
}

/// Nearly always there is room for all of it, and nothing to wait for. Says how much was `sent` if not.
bool Exchange::send_at_once(Request request, std::size_t& sent) {
    ErrorCode error;
    sent = connection_->write_now(request, error);
    if (!error && sent < asio::buffer_size(request)) return false;
    note_sent(error);
    return true;
}

/// The upstream may answer meanwhile: what is left of a request that it refuses is not sent.
Task<void> Exchange::send_on(Request request, std::size_t sent) {
    using namespace asio::experimental::awaitable_operators;
    const bool waits = !connection_->is_tls() || asio::buffer_size(request) > kFitsAtOnce;
    if (!waits) co_return co_await send_rest(request, sent);
    co_await (read_and_stop() && send_rest(request, sent));
}

Task<void> Exchange::read_and_stop() {
    co_await read_on();
    const auto executor = co_await asio::this_coro::executor;
    // A write that has not begun, or goes on from one part to the next just now, does not notice that it is
    // cancelled: once more, then.
    while (machine_.action() == ExchangeMachine::Action::stop_writing) {
        connection_->stop_writing();
        co_await asio::post(executor, asio::deferred);
    }
}

Task<void> Exchange::send_rest(Request request, std::size_t sent) {
    note_sent(co_await connection_->write_rest(request, sent));
}

/// An upstream may answer and close before it has read everything: after an error it is listened to all the
/// same.
void Exchange::note_sent(const ErrorCode& error) {
    machine_.written(!error);
    if (!is_own_shortage(error)) return;
    reason_ = error.message();
    machine_.ran_short();
}

/// Until there is news of the answer, or none to come.
Task<void> Exchange::read_on() {
    while (machine_.action() == ExchangeMachine::Action::read) {
        if (const ErrorCode error = co_await connection_->read_some()) {
            ended(error);
        } else {
            const asio::const_buffer unread = connection_->unread();
            connection_->consume(machine_.received({static_cast<const char*>(unread.data()), unread.size()}));
        }
    }
}

void Exchange::ended(const ErrorCode& error) noexcept {
    using End = ExchangeMachine::End;
    if (connection_->expired()) return machine_.ended(End::overdue);
    if (error == asio::error::no_buffer_space) return machine_.ended(End::full);
    machine_.ended(error == asio::error::eof ? End::closed : End::broken);
}

void Exchange::settle_dead() {
    if (aborted_ || !machine_.may_have_been_dead()) return;
    machine_.settle_dead(shm::now() - began_, connection_->shortest_round_trip());
}

Task<TransportError> Exchange::next(shm::Nanos deadline) {
    machine_.handed_on();
    if (done()) co_return TransportError::none;
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    co_await read_on();
    connection_->clear_deadline();
    co_return machine_.error();
}

void Exchange::abort() noexcept {
    aborted_ = true;
    if (connection_) connection_->close();
}

}  // namespace weir::router
