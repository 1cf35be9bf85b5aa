// What the proxy answers about itself and its models. Whoever asks is shown the groups that it may use.
//
// Thread safety: reads a router of one thread.
#pragma once

#include <functional>
#include <string_view>

#include "proxy/response.hpp"
#include "router/router.hpp"

namespace weir::proxy {

/// Whether whoever asks may see a group.
using Visible = std::function<bool(std::string_view group)>;

/// /model/info: every deployment, its limits and what is left of them. No keys.
PlainAnswer model_info(router::Router& router, shm::Nanos now, const Visible& visible);

/// /model_group/info: every group with the sums of its deployments' limits, and the most that one of them
/// takes and costs.
PlainAnswer model_group_info(router::Router& router, const Visible& visible);

/// /health: which deployments are in service, by what requests have found; nothing is called.
PlainAnswer health(router::Router& router, shm::Nanos now, const Visible& visible);

}  // namespace weir::proxy
