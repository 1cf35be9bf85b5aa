#include "router/redirect.hpp"

#include <algorithm>

#include "router/fields.hpp"

namespace weir::router {
namespace {

/// Longer targets are refused by most servers.
constexpr std::size_t kLocationBytesMax = 8u << 10;

/// Blanks and line ends would end the request line, or begin another request.
bool may_stand_in_target(char c) noexcept { return c > 0x20 && c < 0x7f; }

bool same_origin(const Url& a, const Url& b) noexcept {
    return a.tls == b.tls && a.port == b.port && same_name(a.host, b.host);
}

/// "http" of "http://host/path"; empty if `text` has no scheme.
std::string_view scheme_of(std::string_view text) noexcept {
    const std::size_t colon = text.find(':');
    return colon < text.find_first_of("/?") ? text.substr(0, colon) : std::string_view();
}

/// `rest` begins behind the scheme: "//host/path".
std::optional<Location> read_absolute(const Url& url, std::string_view scheme, std::string_view rest) {
    if (rest.substr(0, 2) != "//") return std::nullopt;
    rest.remove_prefix(2);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    std::string error;
    const auto there = parse_url(std::string(scheme) + "://" + std::string(rest.substr(0, end)), error);
    if (!there) return std::nullopt;
    Location location;
    location.origin = std::string(scheme) + "://" + authority(*there);
    location.target = rest.substr(end);
    if (location.target.empty() || location.target.front() != '/') location.target.insert(0, "/");
    location.same_origin = same_origin(url, *there);
    return location;
}

}  // namespace

std::optional<Location> read_location(const Url& url, std::string_view target, std::string_view location) {
    location = location.substr(0, location.find('#'));
    const bool sound = !location.empty() && location.size() <= kLocationBytesMax &&
                       std::all_of(location.begin(), location.end(), may_stand_in_target);
    if (!sound) return std::nullopt;
    const std::string_view own_scheme = url.tls ? "https" : "http";
    if (location.substr(0, 2) == "//") return read_absolute(url, own_scheme, location);
    if (const std::string_view scheme = scheme_of(location); !scheme.empty()) {
        const std::string_view rest = location.substr(scheme.size() + 1);
        if (same_name(scheme, "http")) return read_absolute(url, "http", rest);
        if (same_name(scheme, "https")) return read_absolute(url, "https", rest);
        return std::nullopt;
    }
    Location found{std::string(own_scheme) + "://" + authority(url), std::string(location), true};
    if (location.front() == '/') return found;
    // Relative to the path of the request, without its last part unless only the query is another one.
    const std::string_view path = target.substr(0, target.find('?'));
    const std::size_t kept = location.front() == '?' ? path.size() : path.rfind('/') + 1;
    found.target.insert(0, path.substr(0, kept));
    return found;
}

std::string_view request_target(std::string_view head) noexcept {
    const std::string_view line = head.substr(0, head.find('\r'));
    const std::size_t begin = line.find(' ');
    const std::size_t end = line.rfind(' ');
    return begin < end ? line.substr(begin + 1, end - begin - 1) : std::string_view();
}

void set_request_target(std::string& head, std::string_view target) {
    const std::string_view old = request_target(head);
    if (old.empty()) return;
    head.replace(static_cast<std::size_t>(old.data() - head.data()), old.size(), target);
}

}  // namespace weir::router
