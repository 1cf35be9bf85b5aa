// One upstream server: its address, and the pool of connections to it that are kept alive.
//
// Thread safety: none.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "router/connection.hpp"
#include "router/url.hpp"

namespace weir::router {

/// How connections to upstreams are made and kept.
struct UpstreamSettings {
    std::size_t connections_max = 1000;                      ///< of one process to one upstream
    shm::Nanos connect_timeout = std::chrono::seconds(5);    ///< TCP and TLS together
    shm::Nanos idle_max = std::chrono::seconds(60);          ///< kept alive without use
    shm::Nanos resolved_for = std::chrono::seconds(30);      ///< before the name is looked up again
    std::string ca_file;                                     ///< PEM; empty: the system's
};

class Upstream {
 public:
    /// `pulse` must outlive it. Reads the trusted certificates if `url` is https.
    Upstream(asio::io_context& io, Pulse& pulse, const Url& url, const UpstreamSettings& settings);

    struct Acquired {
        std::unique_ptr<Connection> connection;  ///< null if and only if there is an error
        TransportError error = TransportError::none;
    };

    /// An idle connection, or a new one; waits for one to come free when there are too many.
    /// `fresh` asks for a new one. Give it back by release.
    Task<Acquired> acquire(bool fresh);

    /// Takes a connection back; kept for the next exchange only if `keep`.
    void release(std::unique_ptr<Connection> connection, bool keep);

    const Url& url() const noexcept { return url_; }
    std::size_t idle() const noexcept { return idle_.size(); }
    std::size_t open() const noexcept { return open_; }

 private:
    struct Turn {
        Timer timer;
        bool called;
    };

    /// How long a lookup takes is the system resolver's affair (resolv.conf): it cannot be called back.
    Task<TransportError> resolve();
    /// False if nobody made room before `deadline`.
    Task<bool> wait_for_room(shm::Nanos deadline);
    Task<TransportError> connect(Connection& connection, shm::Nanos deadline);
    std::unique_ptr<Connection> take_idle();
    void close_idle(shm::Nanos now);
    void let_one_in();

    asio::io_context& io_;
    Pulse& pulse_;
    Url url_;
    UpstreamSettings settings_;
    std::unique_ptr<asio::ssl::context> tls_;
    std::vector<Tcp::endpoint> endpoints_;
    shm::Nanos resolved_at_{};
    std::vector<std::unique_ptr<Connection>> idle_;  // the latest used last: it is the likeliest alive
    std::deque<Turn*> waiting_;                      // for room, in order of arrival
    std::size_t open_ = 0;
};

}  // namespace weir::router
