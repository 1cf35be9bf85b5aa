// One upstream server: its address, and the pool of connections to it that are kept alive.
//
// Thread safety: none.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "router/config.hpp"
#include "router/connection.hpp"
#include "router/url.hpp"

namespace weir::router {

class Upstream {
 public:
    /// `pulse` must outlive it. Reads `settings.ca_file`, if there is one and `url` is https.
    Upstream(asio::io_context& io, Pulse& pulse, const Url& url, const ConnectionSettings& settings);

    struct Acquired {
        std::unique_ptr<Connection> connection;  ///< null if and only if there is an error
        TransportError error = TransportError::none;
    };

    /// An idle connection, or a new one; waits for one to come free when there are too many.
    /// `fresh` asks for a new one. Give it back by release.
    Task<Acquired> acquire(bool fresh);

    /// An idle connection that is still good, or null. Give it back by release.
    std::unique_ptr<Connection> take_idle();

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
    void close_idle(shm::Nanos now);
    void let_one_in();

    asio::io_context& io_;
    Pulse& pulse_;
    Url url_;
    ConnectionSettings settings_;
    std::unique_ptr<asio::ssl::context> tls_;  // with settings_.ca_file; null without
    std::vector<Tcp::endpoint> endpoints_;
    shm::Nanos resolved_at_{};
    std::vector<std::unique_ptr<Connection>> idle_;  // the latest used last: it is the likeliest alive
    std::deque<Turn*> waiting_;                      // for room, in order of arrival
    std::size_t open_ = 0;
};

}  // namespace weir::router
