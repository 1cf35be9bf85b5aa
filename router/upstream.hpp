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
#include "router/resolver.hpp"
#include "router/url.hpp"

namespace weir::router {

class Upstream {
 public:
    /// `pulse` must outlive it. Reads `settings.ca_file`, if there is one and `url` is https. `resolver` is
    /// asked about the name in `url`, if it is one; the system is, if that is empty.
    Upstream(asio::io_context& io, Pulse& pulse, const Url& url, const ConnectionSettings& settings,
             Resolver resolver = {});
    ~Upstream();
    Upstream(const Upstream&) = delete;
    Upstream& operator=(const Upstream&) = delete;

    struct Acquired {
        std::unique_ptr<Connection> connection;  ///< null if and only if there is an error
        TransportError error = TransportError::none;
        std::string reason{};  ///< of the error, for people, if more is known than `error` says
    };

    /// An idle connection, or a new one; waits for one to come free when there are too many, until
    /// `deadline`, and never longer than `settings.connect_timeout`. `fresh` asks for a new one. Give it
    /// back by release.
    Task<Acquired> acquire(bool fresh, shm::Nanos deadline = kNever);

    /// An idle connection that is still good, or null. Give it back by release.
    std::unique_ptr<Connection> take_idle();

    /// Takes a connection back; kept for the next exchange only if `keep`.
    void release(std::unique_ptr<Connection> connection, bool keep);

    /// Whether its address was named by one of the two latest answers: servers that have many addresses
    /// name others each time.
    bool is_current(const Connection& connection) const;

    /// The addresses lead to the wrong place: the next connection is made when they have been looked up anew.
    void distrust_addresses() noexcept;

    const Url& url() const noexcept { return url_; }
    std::size_t idle() const noexcept { return idle_.size(); }
    std::size_t open() const noexcept { return open_; }

 private:
    struct Turn {
        Timer timer;
        bool called;
    };
    /// Who waits for something, in order of arrival.
    using Queue = std::deque<Turn*>;

    /// Sees to it that there are addresses, if possible of late.
    Task<TransportError> resolve(shm::Nanos deadline);
    Task<void> look_up();
    /// One lookup serves all who wait for it, and goes on when they have given up.
    void begin_look_up();
    void end_look_up();
    /// Also while no new connection is made, for those that are there may lead to an address that is gone.
    void refresh(shm::Nanos now);
    void drop_outdated();
    /// False if `deadline` came before its turn.
    Task<bool> wait_in(Queue& queue, shm::Nanos deadline);
    static void call_first(Queue& queue);
    Task<TransportError> connect(Connection& connection, shm::Nanos deadline);
    /// Tries it first the next time, so that only one connection has to wait for those that do not answer.
    void prefer(const Tcp::endpoint& address);
    void close_idle(shm::Nanos now);

    asio::io_context& io_;
    Pulse& pulse_;
    Url url_;
    ConnectionSettings settings_;
    std::unique_ptr<asio::ssl::context> tls_;  // with settings_.ca_file; null without
    Resolver resolver_;
    std::vector<Tcp::endpoint> endpoints_;         // in the order in which they are tried
    std::vector<Tcp::endpoint> endpoints_before_;  // those of the answer before
    shm::Nanos good_until_{};                      // of endpoints_; then they are looked up anew
    bool looking_up_ = false;
    Queue asking_;                                 // for addresses
    std::shared_ptr<Upstream*> self_ = std::make_shared<Upstream*>(this);  // null once it is gone
    std::vector<std::unique_ptr<Connection>> idle_;  // the latest used last: it is the likeliest alive
    Queue waiting_;                                  // for room
    std::size_t open_ = 0;
    shm::Nanos looked_after_{};  // idle_
};

}  // namespace weir::router
