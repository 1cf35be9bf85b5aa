// What there is to say about a request when it has been answered: for the access log and metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "router/usage.hpp"
#include "shm/clock.hpp"

namespace weir::proxy {

/// Views are good while the request is.
struct Served {
    std::string_view method;
    std::string_view target;
    unsigned status = 0;             ///< 499: the client left before there was an answer
    std::string request_id;
    std::string_view key;            ///< the key's name, never the key
    std::string_view model;          ///< as the client asked for it; empty if it did not
    std::string_view group;          ///< that answered, or refused last
    std::string_view deployment;     ///< its id
    std::uint64_t bytes_in = 0;      ///< of the request's body
    std::uint64_t bytes_out = 0;     ///< of the answer's body
    shm::Nanos duration{};           ///< from the head of the request to the end of the answer
    shm::Nanos upstream{};           ///< of it, waiting for the head of the upstream's answer
    std::optional<shm::Nanos> first_piece{};  ///< likewise, for the first piece of a stream
    std::uint32_t retries = 0;
    std::uint32_t fallbacks = 0;
    bool refused = false;            ///< by one of our own limits
    std::optional<router::Usage> usage;
};

}  // namespace weir::proxy
