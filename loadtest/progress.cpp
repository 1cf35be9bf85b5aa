#include "loadtest/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace weir::loadtest {

std::string bar_text(std::uint64_t done, std::uint64_t all) {
    constexpr std::uint64_t kWidth = 40;
    const std::uint64_t filled = all == 0 ? kWidth : std::min(done, all) * kWidth / all;
    return fmt::format("[{:#<{}}{: <{}}] {}/{}", "", filled, "", kWidth - filled, done, all);
}

Progress::Progress(std::FILE* terminal)
    : terminal_(::isatty(::fileno(terminal)) == 1 ? terminal : nullptr) {}

std::string wait_text(Nanos left) {
    return fmt::format("next batch in {} s", std::chrono::ceil<std::chrono::seconds>(left).count());
}

void Progress::show(const std::string& text) {
    if (terminal_ == nullptr) return;
    fmt::print(terminal_, "\r{}\x1b[K", text);
    std::fflush(terminal_);
    shown_ = true;
}

void Progress::clear() {
    if (terminal_ == nullptr || !shown_) return;
    fmt::print(terminal_, "\r\x1b[K");
    std::fflush(terminal_);
    shown_ = false;
}

}  // namespace weir::loadtest
