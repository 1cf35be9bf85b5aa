#include "router/tag_filter.hpp"

#include <algorithm>
#include <string_view>

namespace weir::router {
namespace {

bool has(std::span<const std::string> tags, std::string_view wanted) noexcept {
    return std::find(tags.begin(), tags.end(), wanted) != tags.end();
}

constexpr std::string_view kDefault = "default";

}  // namespace

void TagFilter::see(std::span<const std::string> deployment) noexcept {
    if (!rules_.enabled) return;
    any_matches_ = any_matches_ || matches(deployment);
    any_default_ = any_default_ || has(deployment, kDefault);
}

bool TagFilter::allows(std::span<const std::string> deployment) const noexcept {
    if (!rules_.enabled) return true;
    if (any_matches_) return matches(deployment);
    if (any_default_) return has(deployment, kDefault);
    return tags_.empty();
}

bool TagFilter::matches(std::span<const std::string> deployment) const noexcept {
    const auto it_has = [&](const std::string& tag) { return has(deployment, tag); };
    if (tags_.empty()) return false;
    return rules_.match_any ? std::any_of(tags_.begin(), tags_.end(), it_has)
                            : std::all_of(tags_.begin(), tags_.end(), it_has);
}

}  // namespace weir::router
