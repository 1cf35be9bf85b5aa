// The fields of a request's body that are acted upon, by their names. Internal to request.cpp.
//
// Thread safety: pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::router {

/// The fields that are acted upon; each may occur once.
enum class Field : std::uint8_t {
    model,
    stream,
    stream_options,
    max_tokens,
    max_completion_tokens,
    max_output_tokens,
    n,
    best_of,
    user,
    metadata,
    tags,
    priority,
    timeout,
    max_wait_seconds,
    num_retries,
    messages,
    prompt,
    input,
    instructions,
    system,
    tools,
    functions,
    other,
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Field::other)> kFieldNames = {
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "user",
    "metadata",
    "tags",
    "priority",
    "timeout",
    "max_wait_seconds",
    "num_retries",
    "messages",
    "prompt",
    "input",
    "instructions",
    "system",
    "tools",
    "functions"};

inline Field field_of(std::string_view key) noexcept {
    const auto* const at = std::find(kFieldNames.begin(), kFieldNames.end(), key);
    return static_cast<Field>(at - kFieldNames.begin());
}

inline std::string_view name_of(Field field) noexcept {
    return kFieldNames[static_cast<std::size_t>(field)];
}

/// Meant for the router alone: not passed on.
constexpr bool is_own(Field field) noexcept {
    return field == Field::priority || field == Field::timeout || field == Field::max_wait_seconds ||
           field == Field::num_retries || field == Field::tags;
}

}  // namespace weir::router
