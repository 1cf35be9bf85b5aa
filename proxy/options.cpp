#include "proxy/options.hpp"

#include <algorithm>

#include "proxy/command_line.hpp"

namespace weir::proxy {
router::LoadedConfig load(const Options& options) {
    router::LoadedConfig loaded = options.model.empty()
                                      ? router::load_config(options.config)
                                      : router::parse_config(quick_config(options));
    router::RouterConfig& config = loaded.config;
    if (options.request_timeout_seconds) config.timeout = shm::from_seconds(*options.request_timeout_seconds);
    if (options.keepalive_timeout_seconds) {
        config.weir.clients.idle_timeout = shm::from_seconds(*options.keepalive_timeout_seconds);
    }
    if (options.connections_max) config.weir.clients.max_connections = *options.connections_max;
    if (options.head_bytes_max) {
        config.weir.clients.max_head_bytes = std::min(*options.head_bytes_max, router::kHeadBytesMost);
    }
    if (options.drain_seconds) config.weir.drain = shm::from_seconds(*options.drain_seconds);
    return loaded;
}

const std::string& config_name(const Options& options) {
    static const std::string kCommandLine = "the command line";
    return options.config.empty() ? kCommandLine : options.config;
}

}  // namespace weir::proxy
