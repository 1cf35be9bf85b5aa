// What the command line of weir-proxy says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "router/config.hpp"

namespace weir::proxy {

struct Options {
    std::string config;  ///< a file; empty with `model`
    std::string host = "0.0.0.0";
    std::uint16_t port = 4000;
    unsigned num_workers = 1;
    std::uint64_t max_requests_before_restart = 0;  ///< of a worker; 0: never
    std::string ssl_certfile_path;  ///< PEM; with ssl_keyfile_path: clients speak TLS
    std::string ssl_keyfile_path;
    std::string model;  ///< the only one, at `api_base`, known as `alias`
    std::string alias;
    std::string api_base;

    // These go before the configuration.
    std::optional<double> request_timeout_seconds;
    std::optional<double> keepalive_timeout_seconds;
    std::optional<double> drain_seconds;
    std::optional<std::string> access_log;  ///< "text", "json" or "off"; on standard output

    std::string log_level = "warning";  ///< "error", "warning", "info" or "debug"
    bool check = false;                 ///< only read the configuration and show its limits
    bool json = false;                  ///< of `check`
};

/// Reads the configuration that `options` name, with what goes before it.
router::LoadedConfig load(const Options& options);

/// How problems with it call the file.
const std::string& config_name(const Options& options);

}  // namespace weir::proxy
