#include "router/json_text.hpp"

#include <fmt/format.h>

#include <cstddef>

namespace weir::router {
namespace {

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_hex(char c) noexcept {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Drops digits from the front; false if there is none.
bool take_digits(std::string_view& token) noexcept {
    std::size_t count = 0;
    while (count < token.size() && is_digit(token[count])) ++count;
    token.remove_prefix(count);
    return count > 0;
}

}  // namespace

bool is_json_number(std::string_view token) noexcept {
    if (!token.empty() && token.front() == '-') token.remove_prefix(1);
    if (token.size() > 1 && token[0] == '0' && is_digit(token[1])) return false;
    if (!take_digits(token)) return false;
    if (!token.empty() && token.front() == '.') {
        token.remove_prefix(1);
        if (!take_digits(token)) return false;
    }
    if (!token.empty() && (token.front() == 'e' || token.front() == 'E')) {
        token.remove_prefix(1);
        if (!token.empty() && (token.front() == '+' || token.front() == '-'))
            token.remove_prefix(1);
        if (!take_digits(token)) return false;
    }
    return token.empty();
}

std::optional<std::uint64_t> unescaped_bytes(std::string_view inside) noexcept {
    constexpr std::string_view simple = "\"\\/bfnrt";
    constexpr std::size_t hex_digits = 4;
    std::uint64_t bytes = inside.size();
    for (auto at = inside.find('\\'); at != std::string_view::npos; at = inside.find('\\', at)) {
        if (at + 1 >= inside.size()) return std::nullopt;
        if (inside[at + 1] != 'u') {
            if (simple.find(inside[at + 1]) == std::string_view::npos) return std::nullopt;
            bytes -= 1;  // two bytes stand for one
            at += 2;
            continue;
        }
        const auto hex = inside.substr(at + 2, hex_digits);
        if (hex.size() < hex_digits) return std::nullopt;
        for (const char c : hex) {
            if (!is_hex(c)) return std::nullopt;
        }
        bytes -= 3;  // six bytes stand for up to three
        at += 2 + hex_digits;
    }
    return bytes;
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
    return out += '"';
}

}  // namespace weir::router
