// What the proxy answers about itself and its models.
//
// Thread safety: reads a router of one thread.
#pragma once

#include "proxy/response.hpp"
#include "router/router.hpp"

namespace weir::proxy {

/// /model/info: every deployment, its limits and what is left of them. No keys.
PlainAnswer model_info(router::Router& router, shm::Nanos now);

/// /model_group/info: every group with the sums of its deployments' limits.
PlainAnswer model_group_info(router::Router& router);

/// /health: which deployments are in service, by what requests have found; nothing is called.
PlainAnswer health(router::Router& router, shm::Nanos now);

}  // namespace weir::proxy
