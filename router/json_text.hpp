// Small rules of JSON's grammar, for single tokens.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::router {

/// Whether `token` is one JSON number, such as -1.5e+10.
bool is_json_number(std::string_view token) noexcept;

/// The UTF-8 bytes that the inside of a JSON string (without its quotes) stands for, or a few more:
/// each \u escape counts for 3. Nothing if an escape is malformed.
std::optional<std::uint64_t> unescaped_bytes(std::string_view inside) noexcept;

/// `text` (UTF-8) as a JSON string, with its quotes.
std::string json_string(std::string_view text);

}  // namespace weir::router
