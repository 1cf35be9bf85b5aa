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
    bool tls = false;
    std::string host;  ///< without brackets if it is an IPv6 address
    std::uint16_t port = 80;
    std::string path;  ///< "" or "/v1", without a slash at the end
};

/// As a Host field has it: the host, in brackets if need be, and the port unless it is the scheme's.
std::string authority(const Url& url);

/// `text` with each percent sign and its two hexadecimal digits replaced by the byte that they stand for;
/// empty if a percent sign has no such digits.
std::optional<std::string> percent_decoded(std::string_view text);

/// Splits http[s]://host[:port][/path]. Empty, and `error` says why, for anything else.
std::optional<Url> parse_url(std::string_view text, std::string& error);

}  // namespace weir::router
