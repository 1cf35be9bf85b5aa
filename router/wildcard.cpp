#include "router/wildcard.hpp"

namespace weir::router {

std::optional<std::string_view> wildcard_match(std::string_view pattern,
                                               std::string_view name) noexcept {
    const auto star = pattern.find('*');
    if (star == std::string_view::npos) return std::nullopt;
    const auto before = pattern.substr(0, star);
    const auto after = pattern.substr(star + 1);
    if (name.size() < before.size() + after.size()) return std::nullopt;
    if (name.substr(0, before.size()) != before || name.substr(name.size() - after.size()) != after)
        return std::nullopt;
    return name.substr(before.size(), name.size() - before.size() - after.size());
}

std::string wildcard_fill(std::string_view pattern, std::string_view part) {
    std::string filled(pattern);
    const auto star = filled.find('*');
    if (star != std::string::npos) filled.replace(star, 1, part);
    return filled;
}

}  // namespace weir::router
