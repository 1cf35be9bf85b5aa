#include "router/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace weir::router {
namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (text.substr(0, prefix.size()) != prefix) return false;
    text.remove_prefix(prefix.size());
    return true;
}

bool is_blank_or_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
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
    if (std::any_of(text.begin(), text.end(), is_blank_or_control)) return fail("it has a blank in it");
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
    const bool bracketed = !rest.empty() && rest.front() == '[';
    const auto host_end = bracketed ? rest.find(']') + 1 : rest.find(':');
    if (bracketed && host_end == 0) return fail("the host's bracket is not closed");
    const std::string_view host = rest.substr(0, host_end);
    rest.remove_prefix(host.size());
    if (!rest.empty()) {
        if (rest.front() != ':') return fail("something stands behind the host's bracket");
        const std::string_view digits = rest.substr(1);
        const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
        if (ec != std::errc() || end != digits.data() + digits.size() || url.port == 0) {
            return fail("the port is not a number from 1 to 65535");
        }
    }
    url.host = bracketed ? host.substr(1, host.size() - 2) : host;
    if (url.host.empty()) return fail("the host is missing");
    // Users and queries have no place here; what delimits them is in no host.
    if (url.host.find_first_of("@?#[]") != std::string::npos) return fail("no host has these characters");
    return url;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned byte = 0;
        const std::string_view digits = text.substr(i + 1, 2);
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
        if (digits.size() != 2 || read.ptr != digits.data() + 2) return std::nullopt;
        out += static_cast<char>(byte);
        i += 2;
    }
    return out;
}

}  // namespace weir::router
