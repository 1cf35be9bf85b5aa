// One request and its answer on a connection to an upstream.
//
// The answer is pulled: start() ends when its head is there, and each next() brings the pieces of
// body that have come since. Whoever pulls slowly holds the upstream back; nothing is gathered.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "router/fields.hpp"
#include "router/transport_error.hpp"
#include "router/upstream.hpp"

namespace weir::router {

struct MessageHead;
class ResponseReader;

class Exchange {
 public:
    /// `upstream` must outlive it.
    explicit Exchange(Upstream& upstream);
    ~Exchange();  ///< an answer that was not read to its end takes its connection with it
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// Gets a connection, a new one if `fresh`, sends `request` (its pieces must stay until this returns)
    /// and reads the head of the answer, all of it until `deadline`.
    Task<TransportError> start(std::span<const asio::const_buffer> request, shm::Nanos deadline,
                               bool fresh);

    /// Whether it went over a connection that was kept alive: if that was closed before the first
    /// byte, it lay dead, as happens, and the request was hardly seen.
    bool reused() const noexcept { return connection_ && connection_->reused; }

    unsigned status() const noexcept;
    const Fields& fields() const noexcept;

    /// The length that the head announced; -1 if it did not.
    std::int64_t content_length() const noexcept;

    /// The pieces of the body that came with the latest start() or next(); good until the next one.
    std::span<const asio::const_buffer> pieces() const noexcept { return pieces_; }

    /// Whether the answer has been read to its end.
    bool done() const noexcept { return done_; }

    /// Reads on, until `deadline`. Afterwards pieces() are new, or done(), or both.
    Task<TransportError> next(shm::Nanos deadline);

    /// Ends it at once. A pending start() or next() returns an error.
    void abort() noexcept;

 private:
    Task<TransportError> read_head();
    TransportError parse();
    bool reusable() const noexcept;

    Upstream& upstream_;
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<ResponseReader> reader_;
    std::vector<asio::const_buffer> pieces_;
    bool done_ = false;
    bool aborted_ = false;
    bool sent_whole_ = false;
};

}  // namespace weir::router
