#include "router/resolver.hpp"

#include <boost/asio/ip/basic_resolver.hpp>

namespace weir::router {
namespace {

Task<std::vector<Tcp::endpoint>> ask_system(asio::io_context& io, std::string host, std::uint16_t port) {
    asio::ip::basic_resolver<Tcp, Executor> resolver(io);
    const auto [error, results] = co_await resolver.async_resolve(host, std::to_string(port), kAwait);
    std::vector<Tcp::endpoint> endpoints;
    if (error) co_return endpoints;
    for (const auto& entry : results) endpoints.push_back(entry.endpoint());
    co_return endpoints;
}

}  // namespace

Resolver system_resolver(asio::io_context& io) {
    return [&io](std::string host, std::uint16_t port) { return ask_system(io, std::move(host), port); };
}

}  // namespace weir::router
