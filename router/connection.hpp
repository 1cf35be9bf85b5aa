// One connection, to an upstream or from a client, in the clear or over TLS, with its read buffer.
//
// Thread safety: none.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <cstdint>
#include <functional>
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

    /// One that a client has made. A deadline then ends only what is being waited for, with an
    /// error: the client can still be told.
    Connection(Socket socket, Pulse& pulse);
    ~Connection() override;

    /// Connects to the first of `endpoints` that answers before `deadline`; see connect_race.hpp.
    Task<TransportError> connect(std::span<const Tcp::endpoint> endpoints, shm::Nanos deadline);

    /// TLS with SNI and verification of the certificate against `host`; see tls_client.hpp.
    Task<TransportError> handshake(asio::ssl::context& context, const std::string& host,
                                   shm::Nanos deadline);

    /// The server's side of TLS.
    Task<TransportError> accept_tls(asio::ssl::context& context, shm::Nanos deadline);

    Task<ErrorCode> write(std::span<const asio::const_buffer> pieces);

    /// Writes as much as the system takes at once; the number of bytes. Over TLS, none.
    std::size_t write_now(std::span<const asio::const_buffer> pieces, ErrorCode& error);

    /// Writes the rest, `written` bytes having been written. May go on while something is read.
    Task<ErrorCode> write_rest(std::span<const asio::const_buffer> pieces, std::size_t written);

    /// Ends a pending write; nothing may be read meanwhile, and nothing more can be written.
    void stop_writing() noexcept;

    /// Reads what there is, at the end of the buffer. At the end of the stream: asio::error::eof.
    Task<ErrorCode> read_some();

    /// What was read and not consumed. Good until the next read_some.
    asio::const_buffer unread() const noexcept { return {in_.data() + begin_, end_ - begin_}; }
    void consume(std::size_t bytes) noexcept { begin_ += bytes; }

    /// Whether the peer has closed it or sent something unasked for: then it is of no more use.
    bool is_stale() noexcept;

    /// From now on the system asks a peer that is silent whether it is there, so that a connection that leads
    /// nowhere becomes stale, and what lies between keeps one that leads somewhere in mind.
    void probe_when_idle() noexcept;

    /// Says that nothing more will be written, and lets the peer read what was.
    void finish_writing() noexcept;

    void close() noexcept;

    /// How a peer leaves: `closed` may be its writing side only, `reset` is all of it.
    enum class PeerGone : std::uint8_t { closed, reset };

    /// Calls `gone` if the peer leaves before something is read again; at most two beats of the pulse
    /// late. `gone` must not destroy the Connection; that of the first call stays.
    void watch_peer(std::function<void(PeerGone)> gone);

    bool is_tls() const noexcept { return tls_ != nullptr; }

    /// The shortest round trip that it has seen; 0 if that is not known.
    shm::Nanos shortest_round_trip() noexcept;

    /// Why connect() or handshake() has failed, for people; empty if it is not known better.
    const std::string& reason() const noexcept { return reason_; }

    /// What connect() has connected to.
    const Tcp::endpoint& peer() const noexcept { return peer_; }

    bool reused = false;           ///< whether it has carried an exchange before
    shm::Nanos idle_since{};       ///< while in the pool

 private:
    static constexpr std::size_t kBufferMin = 8u << 10;
    static constexpr std::size_t kBufferMax = 64u << 10;  // bounds the head of an answer

    void on_deadline() noexcept override;
    void make_room();
    bool has_pending_tls() noexcept;
    void await_peer();

    /// Looks whether the peer has left.
    class PeerWatch : public Waiter {
     public:
        PeerWatch(Connection* owner, std::function<void(PeerGone)> told)
            : connection(owner), gone(std::move(told)) {}
        /// Calls `gone` if it has, or else sees to it that there will be another look.
        void look() noexcept;

        Connection* connection;  ///< null once it is gone; the handler that waits may outlive it
        std::function<void(PeerGone)> gone;
        bool waiting = false;

     private:
        void on_deadline() noexcept override { look(); }
    };

    Pulse& pulse_;
    const bool of_client_;
    Socket socket_;
    Tcp::endpoint peer_;
    std::unique_ptr<asio::ssl::stream<Socket&>> tls_;
    std::string reason_;
    std::vector<char> in_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool reading_ = false;
    std::shared_ptr<PeerWatch> peer_watch_;
};

}  // namespace weir::router
