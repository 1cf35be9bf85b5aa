// The limits that a configuration makes, as weir-proxy check shows them.
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

/// A table with a heading, and the same as JSON with `problems`.
std::string limits_table(const std::vector<EffectiveLimit>& limits);
std::string limits_json(const std::vector<EffectiveLimit>& limits,
                        const std::vector<router::Problem>& problems);

}  // namespace weir::proxy
