// Where a redirect of an upstream leads, and whether we follow it there.
//
// A 307 or 308 to the same origin (scheme, host, port) is followed with the same request, for nobody else is
// told anything by it. Anything else is the deployment's mistake: the key would go to another server, or the
// request would become a GET (301, 302, 303).
//
// Thread safety: pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "router/url.hpp"

namespace weir::router {

/// How many redirects of one attempt are followed.
inline constexpr int kRedirectsMax = 5;

/// Whether `status` (HTTP) is a redirect or another answer of its class, which is none to a POST.
constexpr bool is_redirect(unsigned status) noexcept { return status >= 300 && status < 400; }

/// Whether the same request is to be sent again after `status`.
constexpr bool keeps_request(unsigned status) noexcept { return status == 307 || status == 308; }

/// What a Location field says.
struct Location {
    std::string origin;  ///< "https://host:port", the port if it is not the scheme's
    std::string target;  ///< path and query, as the request line has them
    bool same_origin = false;
};

/// Reads the Location of an answer to a request for `target` at `url`. Empty if it is not one that could be
/// asked for: characters that no target has, a scheme other than http and https.
std::optional<Location> read_location(const Url& url, std::string_view target, std::string_view location);

/// The target in the request line that `head` begins with; empty if there is none.
std::string_view request_target(std::string_view head) noexcept;

/// Replaces it. `target` must have come from read_location.
void set_request_target(std::string& head, std::string_view target);

}  // namespace weir::router
