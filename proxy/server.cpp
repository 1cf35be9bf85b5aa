#include "proxy/server.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace weir::proxy {

namespace asio = router::asio;

namespace {

constexpr int kBacklog = 4096;

/// So many connections above the maximum are told so; beyond that they are closed without a word.
constexpr std::uint64_t kTurnedAwayMax = 100;

struct AddressList {
    addrinfo* first = nullptr;
    ~AddressList() {
        if (first) ::freeaddrinfo(first);
    }
};

/// A bound and listening socket, or -1 with errno set.
int try_listen(const addrinfo& address, bool shared) {
    const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return -1;
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) ::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (::bind(socket, address.ai_addr, address.ai_addrlen) == 0 &&
        ::listen(socket, kBacklog) == 0) {
        return socket;
    }
    const int error = errno;
    ::close(socket);
    errno = error;
    return -1;
}

}  // namespace

int listen_on(const std::string& host, std::uint16_t port, bool shared) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    AddressList list;
    const int failed =
        ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list.first);
    if (failed != 0) {
        throw std::runtime_error(
            fmt::format("cannot listen on {}: {}", host, ::gai_strerror(failed)));
    }
    for (const addrinfo* address = list.first; address; address = address->ai_next) {
        if (const int socket = try_listen(*address, shared); socket >= 0) return socket;
    }
    throw std::runtime_error(
        fmt::format("cannot listen on {}:{}: {}", host, port, std::strerror(errno)));
}

std::uint16_t port_of(int listening) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
    if (address.ss_family == AF_INET6) {
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
    }
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

Server::Server(asio::io_context& io, Service& service, int listening)
    : io_(io), service_(service), acceptor_(io) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
    acceptor_.assign(address.ss_family == AF_INET6 ? router::Tcp::v6() : router::Tcp::v4(),
                     listening);
}

void Server::start() {
    asio::co_spawn(io_, accept(), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    });
}

void Server::drain() {
    service_.draining = true;
    router::ErrorCode ignored;
    acceptor_.close(ignored);
    for (Session* session : sessions_) session->drain();
}

router::Task<void> Server::accept() {
    while (acceptor_.is_open()) {
        router::Socket socket(io_);
        const auto [error] = co_await acceptor_.async_accept(socket, router::kAwait);
        if (!error) {
            serve(std::move(socket));
        } else if (error == asio::error::no_descriptors) {
            co_await wait_for_descriptors();
        }
        // Anything else concerns one client that has gone meanwhile.
    }
}

void Server::serve(router::Socket socket) {
    const std::uint64_t most = service_.setup->router.config().weir.clients.max_connections;
    if (sessions_.size() >= most + kTurnedAwayMax) return;  // closes it
    const auto session = std::make_shared<Session>(service_, std::move(socket));
    auto life = sessions_.size() < most ? session->run() : session->turn_away();
    sessions_.insert(session.get());
    asio::co_spawn(io_, std::move(life), [this, session](std::exception_ptr) {
        // An exception is one session's end: out of memory, or no room in the segment. Whatever it
        // had reserved is settled by the destructors on the way here.
        sessions_.erase(session.get());
    });
}

router::Task<void> Server::wait_for_descriptors() {
    router::Timer pause(io_);
    pause.expires_after(std::chrono::milliseconds(100));
    co_await pause.async_wait(router::kAwait);
}

}  // namespace weir::proxy
