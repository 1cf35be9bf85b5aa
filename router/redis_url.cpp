#include "router/redis_url.hpp"

#include <algorithm>
#include <charconv>

#include "router/url.hpp"

namespace weir::router {
namespace {

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

/// The part of `text` before `mark`, which is removed with it; all of it if there is no mark.
std::string_view take_until(std::string_view& text, char mark) {
    const std::size_t at = text.find(mark);
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return part;
}

/// What stands before the host. An empty part says nothing.
bool read_user(std::string_view text, RedisUrl& url) {
    const std::string_view name = take_until(text, ':');
    const auto username = percent_decoded(name);
    const auto password = percent_decoded(text);
    if (!username || !password) return false;
    if (!username->empty()) url.username = *username;
    if (!password->empty()) url.password = *password;
    return true;
}

bool read_address(std::string_view text, RedisAddress& address) {
    const bool bracketed = text.starts_with('[');
    const std::size_t colon = text.rfind(':');
    if (colon != std::string_view::npos && colon > 0 && (!bracketed || text[colon - 1] == ']')) {
        if (!read_number(text.substr(colon + 1), address.port) || address.port == 0) return false;
        text = text.substr(0, colon);
    }
    if (bracketed && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    address.host = text;
    return is_host(text);
}

/// As in a form, where a blank is a plus.
std::optional<std::string> query_decoded(std::string_view text) {
    std::string blanks(text);
    std::replace(blanks.begin(), blanks.end(), '+', ' ');
    return percent_decoded(blanks);
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::any_of(words.begin(), words.end(), [text](std::string_view word) {
        return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
            return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
        });
    });
}

bool read_parameter(const std::string& name, const std::string& value, RedisUrl& url) {
    if (value.empty()) return true;
    if (name == "db") {
        std::uint32_t number = 0;
        if (!read_number(value, number)) return false;
        url.database = number;
    } else if (name == "username") {
        if (!url.username) url.username = value;
    } else if (name == "password") {
        if (!url.password) url.password = value;
    } else if (name == "ssl_ca_certs") {
        url.ca_file = value;
    } else if (name == "ssl_cert_reqs") {
        url.unverified |= is_one_of(value, {"none", "optional"});
    } else if (name == "ssl_check_hostname") {
        url.unverified |= is_one_of(value, {"0", "f", "false", "n", "no"});
    } else {
        url.unknown.push_back(name);
    }
    return true;
}

bool read_query(std::string_view text, RedisUrl& url) {
    while (!text.empty()) {
        std::string_view value = take_until(text, '&');
        const auto name = query_decoded(take_until(value, '='));
        const auto said = query_decoded(value);
        if (!name || !said || !read_parameter(*name, *said, url)) return false;
    }
    return true;
}

}  // namespace

std::optional<RedisUrl> parse_redis_url(std::string_view text) {
    RedisUrl url;
    url.tls = text.starts_with("rediss://");
    if (!url.tls && !text.starts_with("redis://")) return std::nullopt;
    text.remove_prefix(url.tls ? 9 : 8);
    text = take_until(text, '#');
    std::string_view path = take_until(text, '?');
    std::string_view server = take_until(path, '/');
    if (const std::size_t at = server.rfind('@'); at != std::string_view::npos) {
        if (!read_user(server.substr(0, at), url)) return std::nullopt;
        server.remove_prefix(at + 1);
    }
    if (!read_address(server, url.address)) return std::nullopt;
    if (!path.empty()) {
        std::uint32_t number = 0;
        if (!read_number(path, number)) return std::nullopt;
        url.database = number;
    }
    if (!read_query(text, url)) return std::nullopt;
    return url;
}

bool is_host(std::string_view text) noexcept {
    if (std::count(text.begin(), text.end(), ':') > 1) {
        // An IPv6 address, of which a zone may be said.
        return text.substr(0, text.find('%')).find_first_not_of("0123456789abcdefABCDEF:.") ==
               std::string_view::npos;
    }
    static constexpr std::string_view others = ":/@?#,[]\"'";
    return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte <= 0x20 || byte == 0x7f || others.find(c) != std::string_view::npos;
    });
}

std::string to_string(const RedisAddress& address) {
    const bool is_v6 = address.host.find(':') != std::string::npos;
    const std::string port = std::to_string(address.port);
    return is_v6 ? "[" + address.host + "]:" + port : address.host + ":" + port;
}

}  // namespace weir::router
