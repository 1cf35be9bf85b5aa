// What a configuration comes to, as weir-proxy check shows it: its limits, and the Redis that joins hosts.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "router/config.hpp"

namespace weir::proxy {

/// One limit. `window` 0: of requests in flight at any moment.
struct EffectiveLimit {
    std::string scope;  ///< "deployment", "api_key" …
    std::string name;
    std::string unit;  ///< "requests", "tokens", "input tokens", "output tokens", "in flight"
    std::uint64_t limit = 0;
    shm::Nanos window{};
};

/// All of them, in the order of the configuration. Those of every end user stand as the name "*".
std::vector<EffectiveLimit> effective_limits(const router::RouterConfig& config);

/// A table with a heading.
std::string limits_table(const std::vector<EffectiveLimit>& limits);

/// The Redis through which hosts share their limits, a line for each setting. Of a password it tells only
/// that there is one.
std::string redis_table(const router::WeirSettings& weir);

/// Warns of limits that are smaller than the number of hosts: of such a one a host that divides it without
/// contact has nothing.
void warn_of_empty_shares(router::LoadedConfig& loaded);

/// Limits, Redis and problems. Nothing but the problems where there are errors.
std::string check_json(const router::LoadedConfig& loaded);

}  // namespace weir::proxy
