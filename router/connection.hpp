// One connection to an upstream, in the clear or over TLS, with its read buffer.
//
// Thread safety: none.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "router/net.hpp"
#include "router/pulse.hpp"
#include "router/transport_error.hpp"

namespace weir::router {

class Connection : public Waiter {
 public:
    /// Not yet connected. `pulse` must outlive it.
    Connection(asio::io_context& io, Pulse& pulse);

    /// Connects to the first of `endpoints` that answers before `deadline`.
    Task<TransportError> connect(std::span<const Tcp::endpoint> endpoints, shm::Nanos deadline);

    /// TLS with SNI and verification of the certificate against `host`.
    Task<TransportError> handshake(asio::ssl::context& context, const std::string& host,
                                   shm::Nanos deadline);

    Task<ErrorCode> write(std::span<const asio::const_buffer> pieces);

    /// Reads what there is, at the end of the buffer. At the end of the stream: asio::error::eof.
    Task<ErrorCode> read_some();

    /// What was read and not consumed. Good until the next read_some.
    asio::const_buffer unread() const noexcept { return {in_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t bytes) noexcept { begin_ += bytes; }

    /// Whether the peer has closed it or sent something unasked for: then it is of no more use.
    bool is_stale() noexcept;

    void close() noexcept;

    bool reused = false;           ///< whether it has carried an exchange before
    shm::Nanos idle_since{};       ///< while in the pool

 private:
    static constexpr std::size_t kBufferMin = 8u << 10;
    static constexpr std::size_t kBufferMax = 64u << 10;  // bounds the head of an answer

    void on_deadline() noexcept override { close(); }
    void make_room();

    Socket socket_;
    std::unique_ptr<asio::ssl::stream<Socket&>> tls_;
    std::vector<char> in_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace weir::router
