// How to reach the Redis (or Valkey) through which hosts share their limits.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/clock.hpp"

namespace weir::router {

struct RedisAddress {
    std::string host;
    std::uint16_t port = 6379;

    bool operator==(const RedisAddress&) const = default;
};

struct RedisSettings {
    enum class Kind : std::uint8_t {
        none,      ///< limits are this host's alone
        single,    ///< `nodes` is one server
        sentinel,  ///< `nodes` are sentinels, which know the master of `service_name`
        cluster,   ///< `nodes` are some of a cluster's
    };
    Kind kind = Kind::none;
    std::vector<RedisAddress> nodes;
    std::string service_name;
    std::string username;
    std::string password;
    std::string sentinel_password;
    std::uint32_t database = 0;
    bool tls = false;
    std::string ca_file;                                  ///< PEM; empty: the system's
    std::string prefix = "weir";                          ///< of all keys
    shm::Nanos lease = std::chrono::seconds(15);          ///< how long one is good without another exchange
    shm::Nanos wait = std::chrono::milliseconds(20);      ///< the most that a request waits for a larger one
    shm::Nanos timeout = std::chrono::milliseconds(500);  ///< of an exchange, with connecting
    /// How often sentinels are asked whether the master is still the one.
    shm::Nanos ask_sentinels = std::chrono::seconds(10);

    bool enabled() const noexcept { return kind != Kind::none; }
};

}  // namespace weir::router
