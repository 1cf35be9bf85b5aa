// What the command line of weir-proxy says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "router/config.hpp"

namespace weir::proxy {

/// What the program is to do.
enum class Job : std::uint8_t {
    serve,
    check,        ///< read the configuration and show its limits
    show_health,  ///< of a proxy that is running
    test,         ///< ask a proxy that is running for completions
};

struct Options {
    Job job = Job::serve;
    std::string config;  ///< a file; empty with `model`
    std::string host = "0.0.0.0";
    std::uint16_t port = 4000;
    unsigned num_workers = 1;
    std::uint64_t max_requests_before_restart = 0;  ///< of a worker; 0: never
    std::uint64_t max_requests_jitter = 0;          ///< up to so many more, by chance
    std::string ssl_certfile_path;  ///< PEM; with ssl_keyfile_path: clients speak TLS
    std::string ssl_keyfile_path;
    std::string model;  ///< the only one, at `api_base`, known as `alias`
    std::string alias;
    std::string api_base;

    // These go before the configuration.
    std::optional<double> request_timeout_seconds;
    std::optional<double> keepalive_timeout_seconds;
    std::optional<double> drain_seconds;
    std::optional<std::uint64_t> connections_max;  ///< of clients, of a worker
    std::optional<std::uint32_t> head_bytes_max;   ///< of a request; 1024 and more
    std::optional<std::string> access_log;  ///< "text", "json" or "off"; on standard output

    std::string log_level = "warning";  ///< "error", "warning", "info" or "debug"
    bool json = false;                  ///< of `check`
    std::string test_url;               ///< of `test`; empty: at host and port
};

/// Reads the configuration that `options` name, with what goes before it.
router::LoadedConfig load(const Options& options);

/// How problems with it call the file.
const std::string& config_name(const Options& options);

}  // namespace weir::proxy
