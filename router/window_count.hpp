// How many windows one request can be counted under. One decision spans shm::kScopesMax of them, so it is
// checked when a configuration is read that no key can come to more.
//
// Thread safety: pure.
#pragma once

#include <cstddef>

#include "router/config.hpp"

namespace weir::router {

/// At a deployment, of those that have the most: its limits, a share of each for a priority, and what counts
/// tokens for usage-based routing.
std::size_t deployment_windows(const RouterConfig& config) noexcept;

/// Under a key: its own, its user's, its team's, and those of an end user.
std::size_t caller_windows(const KeyConfig& key, const RouterConfig& config) noexcept;

}  // namespace weir::router
