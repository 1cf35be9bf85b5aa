// Splits the base address of an upstream.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::router {

struct Url {
    std::string host;
    std::uint16_t port = 80;
    std::string path;  ///< "" or "/v1", without a slash at the end
};

/// Splits http://host[:port][/path]. Empty, and `error` says why, for anything else.
std::optional<Url> parse_url(std::string_view text, std::string& error);

}  // namespace weir::router
