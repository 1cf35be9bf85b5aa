#include "proxy/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace weir::proxy {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"error", "warning", "info", "debug"};

LogLevel current = LogLevel::warning;

void write_line(std::string_view text) noexcept {
    try {
        const std::string line = std::string("weir-proxy: ").append(text).append("\n");
        // A standard error that is full or closed must not stop the service.
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    } catch (const std::bad_alloc&) {
        // Then there is no line.
    }
}

}  // namespace

LogLevel log_level_from(std::string_view name) noexcept {
    const auto found = std::find(kNames.begin(), kNames.end(), name);
    return found == kNames.end() ? LogLevel::warning
                                 : static_cast<LogLevel>(found - kNames.begin());
}

std::string_view to_string(LogLevel level) noexcept {
    return kNames[static_cast<std::size_t>(level)];
}

void set_log_level(LogLevel level) noexcept {
    current = level;
}
LogLevel log_level() noexcept {
    return current;
}

void change_log_level(int by) noexcept {
    current = static_cast<LogLevel>(std::clamp(static_cast<int>(current) + by, 0, 3));
    write_line(std::string("log level ").append(to_string(current)));
}

void log(LogLevel level, std::string_view text) noexcept {
    if (level <= current) write_line(text);
}

}  // namespace weir::proxy
