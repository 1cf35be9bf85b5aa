// What an error of a Redis means: for whoever reads the log, and for what to do next.
//
// Thread safety: pure.
#pragma once

#include <string>
#include <string_view>

#include "router/redis/redis_value.hpp"

namespace weir::router {

/// What a server has to be given, in the words of its user: for advice.
struct RedisNeeds {
    std::string password;  ///< the setting that holds it
    std::string rights;    ///< as in ACL SETUSER
};

/// What the server with the keys, named `{prefix}:…`, needs.
RedisNeeds store_needs(std::string_view prefix);

/// What a sentinel needs.
RedisNeeds sentinel_needs();

/// The server's own words, and advice where there is any.
std::string explained(const RedisValue& error, const RedisNeeds& needs);

/// Whether another server, or another greeting, may fare better than this connection.
bool ends_connection(const RedisValue& error) noexcept;

}  // namespace weir::router
