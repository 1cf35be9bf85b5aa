// Who knows the addresses of a name: the system, or in tests somebody else.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "router/net.hpp"

namespace weir::router {

/// The addresses of a host with a port, the best first; none if they could not be found out.
using Resolver = std::function<Task<std::vector<Tcp::endpoint>>(std::string host, std::uint16_t port)>;

/// What the system's resolver says (resolv.conf, hosts). How long that takes is its affair: it cannot be
/// called back.
Resolver system_resolver(asio::io_context& io);

}  // namespace weir::router
