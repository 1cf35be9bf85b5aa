#include "router/url.hpp"

#include <fmt/format.h>

#include <charconv>

namespace weir::router {
namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (text.substr(0, prefix.size()) != prefix) return false;
    text.remove_prefix(prefix.size());
    return true;
}

}  // namespace

std::string authority(const Url& url) {
    const bool is_v6 = url.host.find(':') != std::string::npos;
    std::string text = is_v6 ? "[" + url.host + "]" : url.host;
    if (url.port != (url.tls ? 443 : 80)) text += ":" + std::to_string(url.port);
    return text;
}

std::optional<Url> parse_url(std::string_view text, std::string& error) {
    const auto fail = [&](std::string_view why) {
        error = fmt::format("expected http[s]://host[:port][/path], found \"{}\": {}", text, why);
        return std::nullopt;
    };
    Url url;
    std::string_view rest = text;
    if (take_prefix(rest, "https://")) {
        url.tls = true;
        url.port = 443;
    } else if (!take_prefix(rest, "http://")) {
        return fail("neither http:// nor https://");
    }
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
