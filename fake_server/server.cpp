#include "fake_server/server.hpp"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <exception>
#include <unordered_map>
#include <utility>

#include "fake_server/session.hpp"

namespace weir::fake_server {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr auto kAcceptRetry = std::chrono::milliseconds(10);

asio::ip::address address_of(const std::string& host) {
    ErrorCode error;
    const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
    if (error) throw BindError(fmt::format("'{}' is not an IP address or localhost", host));
    return address;
}

}  // namespace

struct Server::Impl {
    explicit Impl(const ServerOptions& given)
        : options(given),
          desk(given.desk),
          acceptor(io),
          accept_timer(io),
          drain_timer(io),
          signals(io) {
        listen();
        if (options.stop_on_signals) {
            signals.add(SIGINT);
            signals.add(SIGTERM);
            wait_signal();
        }
        asio::co_spawn(io, accept(), [](std::exception_ptr error) {
            if (error) std::rethrow_exception(error);
        });
    }

    void listen();
    bool try_listen(const tcp::endpoint& endpoint);
    asio::awaitable<void> accept();
    void serve(tcp::socket socket);
    void wait_signal();
    void stop();
    void end_if_idle();

    ServerOptions options;
    asio::io_context io{1};
    Desk desk;
    tcp::acceptor acceptor;
    asio::steady_timer accept_timer;
    asio::steady_timer drain_timer;
    asio::signal_set signals;
    std::unordered_map<std::uint64_t, std::shared_ptr<Session>> sessions;
    std::uint64_t connections = 0;
    bool stopping = false;
};

bool Server::Impl::try_listen(const tcp::endpoint& endpoint) {
    ErrorCode error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) return true;
    ErrorCode ignored;
    acceptor.close(ignored);
    if (error == asio::error::address_in_use) return false;
    throw BindError(fmt::format("cannot listen on {} port {}: {}", options.host, endpoint.port(),
                                error.message()));
}

void Server::Impl::listen() {
    const asio::ip::address address = address_of(options.host);
    for (std::uint32_t port = options.port; port <= 65'535; ++port) {
        const auto tried = static_cast<std::uint16_t>(port);
        if (try_listen({address, tried})) return;
        if (options.on_port_taken) options.on_port_taken(tried);
    }
    throw BindError(fmt::format("no free port on {} from {} upwards", options.host, options.port));
}

asio::awaitable<void> Server::Impl::accept() {
    while (acceptor.is_open()) {
        auto [error, socket] = co_await acceptor.async_accept(kAwait);
        if (!error) {
            serve(std::move(socket));
        } else if (acceptor.is_open()) {
            // Out of descriptors, most likely: the clients wait in the backlog meanwhile.
            accept_timer.expires_after(kAcceptRetry);
            co_await accept_timer.async_wait(kAwait);
        }
    }
}

void Server::Impl::serve(tcp::socket socket) {
    const std::uint64_t number = ++connections;
    auto session = std::make_shared<Session>(std::move(socket), desk, number);
    sessions.emplace(number, session);
    asio::co_spawn(io, session->run(), [this, number](std::exception_ptr error) {
        sessions.erase(number);
        end_if_idle();
        if (error) std::rethrow_exception(error);
    });
}

void Server::Impl::wait_signal() {
    signals.async_wait([this](const ErrorCode& error, int) {
        if (error) return;
        stop();
        if (!sessions.empty()) wait_signal();
    });
}

void Server::Impl::stop() {
    const bool again = std::exchange(stopping, true);
    ErrorCode ignored;
    acceptor.close(ignored);
    accept_timer.cancel();
    for (const auto& [number, session] : sessions) again ? session->abort() : session->drain();
    if (!again) {
        drain_timer.expires_after(std::chrono::nanoseconds(options.drain_ns));
        drain_timer.async_wait([this](const ErrorCode& error) {
            if (error) return;
            for (const auto& [number, session] : sessions) session->abort();
        });
    }
    end_if_idle();
}

// Nothing pending is what lets run() return.
void Server::Impl::end_if_idle() {
    if (!stopping || !sessions.empty()) return;
    drain_timer.cancel();
    ErrorCode ignored;
    signals.cancel(ignored);
}

Server::Server(const ServerOptions& options) : impl_(std::make_unique<Impl>(options)) {}

Server::~Server() = default;

std::uint16_t Server::port() const {
    return impl_->acceptor.local_endpoint().port();
}

std::string Server::url() const {
    const tcp::endpoint endpoint = impl_->acceptor.local_endpoint();
    const std::string host = endpoint.address().to_string();
    const bool bracketed = endpoint.address().is_v6();
    return fmt::format("http://{}{}{}:{}", bracketed ? "[" : "", host, bracketed ? "]" : "",
                       endpoint.port());
}

void Server::run() {
    impl_->io.run();
}

void Server::stop() {
    asio::post(impl_->io, [impl = impl_.get()] { impl->stop(); });
}

}  // namespace weir::fake_server
