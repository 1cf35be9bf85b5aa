// Connecting to a host that has several addresses: they are tried in their order, each a moment after the one
// before, which goes on being tried meanwhile (RFC 8305, section 5). So an address that does not answer costs
// that moment, and not all the time there is.
//
// Thread safety: none.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "router/net.hpp"
#include "router/transport_error.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// One such attempt at a host. Made by make_shared: sockets that have lost close a little later.
class ConnectRace : public std::enable_shared_from_this<ConnectRace> {
 public:
    /// How long an address is tried alone: the Connection Attempt Delay that RFC 8305 recommends.
    static constexpr std::chrono::milliseconds kHeadStart{250};

    explicit ConnectRace(Executor executor) : executor_(executor), timer_(executor) {}

    /// Once: until one of `endpoints` has answered, all have failed (`connect`; `out_of_resources` if none of
    /// them for a reason of its own) or `deadline` has passed (`connect_timeout`). Of the others no
    /// connection stays open.
    Task<TransportError> run(std::span<const Tcp::endpoint> endpoints, shm::Nanos deadline);

    /// Why all have failed, for people: "Connection refused". Empty if they have not.
    std::string reason() const { return failure_ ? failure_.message() : std::string(); }

    /// The one that was first, after run() has returned `none`: connected, and to be taken away.
    Socket& socket() noexcept { return winner_->socket; }
    const Tcp::endpoint& peer() const noexcept { return winner_->endpoint; }

 private:
    struct Runner {
        Socket socket;
        Tcp::endpoint endpoint;
    };
    void begin(const Tcp::endpoint& endpoint);
    void arrive(Runner& runner, ErrorCode error);
    void note_failure(const ErrorCode& error) noexcept;
    TransportError failure() const noexcept;
    Task<void> wait(shm::Nanos until);

    Executor executor_;
    Timer timer_;  // ends a wait, before its time when there is news
    std::deque<Runner> runners_;
    std::size_t running_ = 0;
    Runner* winner_ = nullptr;
    ErrorCode failure_;  // the first that is the host's, or else the first
};

}  // namespace weir::router
