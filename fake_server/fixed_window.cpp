#include "fake_server/fixed_window.hpp"

namespace weir::fake_server {

FixedWindow::Window* FixedWindow::find_or_add(std::string_view address, std::int64_t now_ns) {
    if (const auto found = windows_.find(address); found != windows_.end()) return &found->second;
    if (windows_.size() >= options_.addresses_max) {
        std::erase_if(windows_, [&](const auto& entry) { return entry.second.ends_ns <= now_ns; });
        if (windows_.size() >= options_.addresses_max) return nullptr;
    }
    return &windows_.emplace(std::string(address), Window{}).first->second;
}

FixedWindow::Verdict FixedWindow::admit(std::string_view address, std::int64_t now_ns) {
    if (options_.requests_max == 0) return {};
    Window* window = find_or_add(address, now_ns);
    if (window == nullptr) return {false, 0, options_.window_ns};
    if (window->count == 0 || window->ends_ns <= now_ns) {
        *window = {now_ns + options_.window_ns, 0};
    }
    const std::int64_t reset_ns = window->ends_ns - now_ns;
    if (window->count >= options_.requests_max) return {false, 0, reset_ns};
    ++window->count;
    return {true, options_.requests_max - window->count, reset_ns};
}

}  // namespace weir::fake_server
