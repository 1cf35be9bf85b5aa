// What the command line of weir-proxy says.
#pragma once

#include <cstdint>
#include <string>

namespace weir::proxy {

struct Options {
    std::string config;
    std::string host = "0.0.0.0";
    std::uint16_t port = 4000;
    unsigned num_workers = 1;
    unsigned drain_seconds = 30;   ///< for requests under way when told to end
    std::string access_log = "off";  ///< "text", "json" or "off"; on standard output
    std::string ssl_certfile_path;  ///< PEM; with ssl_keyfile_path: clients speak TLS
    std::string ssl_keyfile_path;
};

}  // namespace weir::proxy
