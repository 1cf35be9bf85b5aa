// What the sessions of one process share.
//
// Thread safety: none.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <memory>

#include "proxy/access_log.hpp"
#include "proxy/keys.hpp"
#include "proxy/metrics.hpp"
#include "proxy/request_id.hpp"
#include "router/pulse.hpp"
#include "router/router.hpp"

namespace weir::proxy {

/// What a configuration makes. A reload makes another; requests under way end with theirs.
struct Setup {
    /// Throws what Router and Keys throw.
    Setup(router::asio::io_context& io, const router::RouterConfig& config,
          const router::RouterOptions& options)
        : router(io, config, options),
          keys(router.config(), router.segment()),
          metrics(router.segment()) {
        router.start();
    }
    router::Router router;
    Keys keys;
    Metrics metrics;
};

/// Outlives every session.
struct Service {
    router::Pulse pulse;
    std::shared_ptr<Setup> setup;  ///< of requests that begin now
    AccessLog log;
    IdSource ids;
    std::unique_ptr<router::asio::ssl::context> tls = nullptr;  ///< if clients are to speak it
    std::uint64_t requests = 0;  ///< that have been read so far
    bool draining = false;  ///< no further request on a connection after the present one
};

}  // namespace weir::proxy
