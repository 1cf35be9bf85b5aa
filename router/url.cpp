#include "router/url.hpp"

#include <fmt/format.h>

#include <charconv>

namespace weir::router {

std::optional<Url> parse_url(std::string_view text, std::string& error) {
    const auto fail = [&](std::string_view why) {
        error = fmt::format("expected http://host[:port][/path], found \"{}\": {}", text, why);
        return std::nullopt;
    };
    constexpr std::string_view scheme = "http://";
    if (text.substr(0, scheme.size()) != scheme) return fail("only http:// is supported");
    std::string_view rest = text.substr(scheme.size());
    Url url;
    if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
        std::string_view path = rest.substr(slash);
        while (!path.empty() && path.back() == '/') path.remove_suffix(1);
        url.path = path;
        rest = rest.substr(0, slash);
    }
    // An IPv6 address stands in brackets, and its colons are not a port's.
    const auto bracket = rest.rfind(']');
    const auto colon = rest.rfind(':');
    if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
        const std::string_view digits = rest.substr(colon + 1);
        const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
        if (ec != std::errc() || end != digits.data() + digits.size() || url.port == 0) {
            return fail("the port is not a number from 1 to 65535");
        }
        rest = rest.substr(0, colon);
    }
    if (rest.size() >= 2 && rest.front() == '[' && rest.back() == ']') rest = rest.substr(1, rest.size() - 2);
    if (rest.empty()) return fail("the host is missing");
    url.host = rest;
    return url;
}

}  // namespace weir::router
