// Accepts clients and serves them, on one thread.
//
// Thread safety: none.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "proxy/session.hpp"

namespace weir::proxy {

using Acceptor = router::asio::basic_socket_acceptor<router::Tcp, router::Executor>;

/// A listening socket as a file descriptor, made before the processes that accept from it.
/// `port` 0 is any. Throws std::runtime_error that names the address and why.
int listen_on(const std::string& host, std::uint16_t port, bool shared);

/// The port that `listening` is bound to.
std::uint16_t port_of(int listening);

class Server {
 public:
    /// Takes over `listening`. `service` must outlive it, and `io` must not run once it is gone.
    Server(router::asio::io_context& io, Service& service, int listening);

    /// Begins to accept.
    void start();

    /// Accepts nobody further; connections end when their present request is answered.
    void drain();

    /// Connections that are still open.
    std::size_t open() const noexcept { return sessions_.size(); }

 private:
    router::Task<void> accept();
    void serve(router::Socket socket);
    router::Task<void> wait_for_descriptors();

    router::asio::io_context& io_;
    Service& service_;
    Acceptor acceptor_;
    std::unordered_set<Session*> sessions_;  // kept alive by what they wait for
};

}  // namespace weir::proxy
