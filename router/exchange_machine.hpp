// One request and its answer on one connection, without the connection: it is told what happens there, and
// says what to do.
//
// The answer is read all the time, also while the request is still being written: an upstream may refuse a
// request without reading it whole, and then does not read on.
//
// Thread safety: none. It needs neither a clock nor a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/response_parser.hpp"
#include "router/transport_error.hpp"
#include "shm/clock.hpp"

namespace weir::router {

class ExchangeMachine {
 public:
    /// How many interim answers (1xx) may come before the answer. Their size counts as part of its head.
    static constexpr int kInterimMax = 100;

    /// A request that dies on a reused connection later than this after it can have arrived has died at work.
    static constexpr shm::Nanos kDeadOnArrival = std::chrono::milliseconds(5);

    /// What to do next.
    enum class Action : std::uint8_t {
        read,            ///< read from the connection, and go on writing the request
        finish_writing,  ///< the answer accepts the request: write it to its end, then hand_on
        stop_writing,    ///< the answer refuses the request, or there is none: the rest of it is not sent
        hand_on,         ///< there is news of the answer: its head, pieces of its body, its end
        give_up,         ///< error() says why
    };

    /// How a connection ends.
    enum class End : std::uint8_t {
        closed,   ///< in order
        broken,   ///< in any other way
        overdue,  ///< by us, since its deadline has passed
        full,     ///< by us: what is to be read in one piece does not fit into its buffer
    };

    /// A request is about to be written; `reused`: to a connection that has carried another exchange before.
    void begin(bool reused) noexcept;

    /// All of the request has been written, or nothing more of it will be.
    void written(bool whole) noexcept;

    /// `bytes` is all that has been read and not consumed. Returns how many are consumed; pieces() are new.
    std::size_t received(std::string_view bytes);

    void ended(End how) noexcept;

    /// There was no memory left to write the request whole.
    void ran_short() noexcept { fail(TransportError::out_of_resources); }

    /// Whether the upstream may have given up the connection before it knew of the request: the connection
    /// was reused, and ended without a byte, or with a 408 that closes it. If so, call settle_dead.
    bool may_have_been_dead() const noexcept;

    /// Decides that. `since` is the time since the request began to be written, `round_trip` the shortest
    /// time in which the peer has ever answered. A connection that was dead is a failure `closed`.
    void settle_dead(shm::Nanos since, shm::Nanos round_trip) noexcept;

    /// Whether the upstream had given up the connection already: nobody has worked on the request.
    bool was_dead() const noexcept { return dead_; }

    Action action() const noexcept;
    TransportError error() const noexcept { return error_; }
    /// What exactly is wrong, where that is known, as text for people; or empty.
    std::string_view reason() const noexcept { return parser_.error().empty() ? reason_ : parser_.error(); }

    const ResponseParser& answer() const noexcept { return parser_; }

    /// The pieces of the body that the latest received() has found: views into its bytes.
    const ResponseParser::Pieces& pieces() const noexcept { return pieces_; }

    /// What was handed on is used up: the next hand_on comes when there is more of the answer, or its end.
    void handed_on() noexcept;

    /// Whether the answer has been read to its end.
    bool done() const noexcept { return parser_.state() == ResponseParser::State::done; }

    /// Whether the connection can carry another exchange, if `unread` bytes lie in its buffer.
    bool reusable(std::size_t unread) const noexcept;

 private:
    void fail(TransportError error, std::string_view reason = {}) noexcept;
    void take_interim() noexcept;

    ResponseParser parser_;
    ResponseParser::Pieces pieces_;
    std::string_view reason_;
    TransportError error_ = TransportError::none;
    int interims_ = 0;
    bool reused_ = false;
    bool writing_ = false;
    bool sent_whole_ = false;
    bool heard_ = false;  // a byte has come
    bool dead_ = false;
    bool head_handed_on_ = false;
};

}  // namespace weir::router
