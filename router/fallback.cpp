#include "router/fallback.hpp"

#include <algorithm>

namespace weir::router {
namespace {

std::span<const std::string> list_in(const FallbackLists& lists, NamedGroup asked) noexcept {
    auto at = lists.find(asked.name);
    if (at == lists.end()) at = lists.find(asked.group);
    return at == lists.end() ? std::span<const std::string>() : at->second;
}

}  // namespace

std::span<const std::string> fallbacks_for(const FallbackRules& rules, NamedGroup asked, Kind kind) noexcept {
    std::span<const std::string> list;
    if (kind == Kind::context_window) list = list_in(rules.context_window, asked);
    if (kind == Kind::content_policy) list = list_in(rules.content_policy, asked);
    if (list.empty()) list = list_in(rules.fallbacks, asked);
    if (list.empty()) list = list_in(rules.fallbacks, {"*", "*"});
    return list;
}

FallbackPlan::FallbackPlan(const FallbackRules& rules, NamedGroup first)
    : rules_(rules), tried_{std::string(first.name), std::string(first.group)} {}

std::string_view FallbackPlan::next(NamedGroup failed, Kind kind) {
    if (used_ >= rules_.max_fallbacks) return {};
    open_.push_back(fallbacks_for(rules_, failed, kind));
    while (!open_.empty()) {
        auto& list = open_.back();
        if (list.empty()) {
            open_.pop_back();
            continue;
        }
        const std::string& group = list.front();
        list = list.subspan(1);
        if (tried(group)) continue;
        tried_.push_back(group);
        ++used_;
        return group;
    }
    return {};
}

bool FallbackPlan::has_next(NamedGroup failed, Kind kind) const {
    if (used_ >= rules_.max_fallbacks) return false;
    const auto untried = [this](std::span<const std::string> list) {
        return std::any_of(list.begin(), list.end(),
                           [this](const std::string& group) { return !tried(group); });
    };
    return untried(fallbacks_for(rules_, failed, kind)) ||
           std::any_of(open_.begin(), open_.end(), untried);
}

bool FallbackPlan::tried(std::string_view group) const noexcept {
    return std::find(tried_.begin(), tried_.end(), group) != tried_.end();
}

}  // namespace weir::router
