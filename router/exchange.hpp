// One request and its answer on a connection to an upstream. What is decided there, exchange_machine.hpp
// decides; this moves the bytes.
//
// The answer is pulled: start() ends when its head is there, and each next() brings the pieces of
// body that have come since. Whoever pulls slowly holds the upstream back; nothing is gathered.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "router/exchange_machine.hpp"
#include "router/fields.hpp"
#include "router/transport_error.hpp"
#include "router/upstream.hpp"

namespace weir::router {

class Exchange {
 public:
    /// `upstream` must outlive it.
    explicit Exchange(Upstream& upstream) : upstream_(upstream) {}
    ~Exchange();  ///< an answer that was not read to its end takes its connection with it
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// Gets a connection, a new one if `fresh`, sends `request` (its pieces must stay until this returns) and
    /// reads the head of the answer, all of it until `deadline`. An answer that refuses the request before it
    /// is sent whole ends the sending.
    Task<TransportError> start(std::span<const asio::const_buffer> request, shm::Nanos deadline,
                               bool fresh);

    /// Whether it went over a connection that the upstream had given up before it knew of the request: nobody
    /// has worked on it, and it may be sent again.
    bool was_dead() const noexcept { return machine_.was_dead(); }

    /// What exactly failed, where that is known, for people: "its certificate is not accepted: …"; or empty.
    std::string_view reason() const noexcept { return reason_.empty() ? machine_.reason() : reason_; }

    /// HTTP, 100 to 599; 0 before an answer has begun.
    unsigned status() const noexcept { return machine_.answer().status(); }
    const Fields& fields() const noexcept { return machine_.answer().fields(); }

    /// The length of the body that the head announced; -1 if it did not, or if there is no body.
    std::int64_t content_length() const noexcept;

    /// The pieces of the body that came with the latest start() or next(); good until the next one.
    std::span<const std::string_view> pieces() const noexcept { return machine_.pieces(); }

    /// Whether the answer has been read to its end.
    bool done() const noexcept { return machine_.done(); }

    /// Reads on, until `deadline`. Afterwards pieces() are new, or done(), or both.
    Task<TransportError> next(shm::Nanos deadline);

    /// Ends it at once. A pending start() or next() returns an error.
    void abort() noexcept;

 private:
    using Request = std::span<const asio::const_buffer>;

    Task<TransportError> connect(bool fresh, shm::Nanos deadline);
    bool send_at_once(Request request, std::size_t& sent);
    Task<void> send_on(Request request, std::size_t sent);
    Task<void> send_rest(Request request, std::size_t sent);
    Task<void> read_and_stop();
    Task<void> read_on();
    void note_sent(const ErrorCode& error);
    void ended(const ErrorCode& error) noexcept;
    void settle_dead();

    Upstream& upstream_;
    std::unique_ptr<Connection> connection_;
    ExchangeMachine machine_;
    std::string reason_;      // why there is no connection
    shm::Nanos began_{};      // of the sending, over a reused connection
    bool aborted_ = false;
};

}  // namespace weir::router
