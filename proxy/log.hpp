// What the proxy says of itself, as lines on standard error; requests have the access log.
//
// No prompt and no key is ever passed to it. A line is one write, so lines of several processes do
// not mix.
//
// Thread safety: none. The level is the process's own; a fork inherits it.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::proxy {

enum class LogLevel : std::uint8_t { error, warning, info, debug };

/// The level of that name; `warning` for any other.
LogLevel log_level_from(std::string_view name) noexcept;
std::string_view to_string(LogLevel level) noexcept;

/// What is not said: lines above this level.
void set_log_level(LogLevel level) noexcept;
LogLevel log_level() noexcept;

/// One level more or less, and a line that says so. For changing it while the process runs.
void change_log_level(int by) noexcept;

/// Writes "weir-proxy: TEXT".
void log(LogLevel level, std::string_view text) noexcept;

}  // namespace weir::proxy
