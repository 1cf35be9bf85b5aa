// Reads the URL of a Redis as redis-py does, whose URLs LiteLLM takes.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/redis_settings.hpp"

namespace weir::router {

struct RedisUrl {
    RedisAddress address;
    std::optional<std::string> username;
    std::optional<std::string> password;
    std::optional<std::uint32_t> database;
    bool tls = false;                    ///< rediss://
    std::optional<std::string> ca_file;  ///< ssl_ca_certs
    bool unverified = false;             ///< ssl_cert_reqs or ssl_check_hostname ask for certificates unseen
    std::vector<std::string> unknown;    ///< names of parameters that mean nothing here
};

/// redis[s]://[[user][:password]@]host[:port][/database][?name=value&…]. Empty if it is none. What the query
/// says of a user or a password counts where nothing stands before the host; of a database, always.
std::optional<RedisUrl> parse_redis_url(std::string_view text);

/// Whether `text` is a name or an address, and nothing more: no scheme, no port, no brackets.
bool is_host(std::string_view text) noexcept;

/// `host:port`, with brackets around an IPv6 address.
std::string to_string(const RedisAddress& address);

}  // namespace weir::router
