#include "router/fallback.hpp"

#include <algorithm>
#include <utility>

namespace weir::router {
namespace {

std::span<const std::string> list_in(const FallbackLists& lists, NamedGroup asked) noexcept {
    auto at = lists.find(asked.name);
    if (at == lists.end()) at = lists.find(asked.group);
    return at == lists.end() ? std::span<const std::string>() : at->second;
}

}  // namespace

std::span<const std::string> fallbacks_for(const FallbackRules& rules, NamedGroup asked, Kind kind) noexcept {
    constexpr NamedGroup any{"*", "*"};
    std::span<const std::string> list;
    const auto look = [&](const FallbackLists& lists) {
        if (list.empty()) list = list_in(lists, asked);
        if (list.empty()) list = list_in(lists, any);
    };
    if (kind == Kind::context_window) look(rules.context_window);
    if (kind == Kind::content_policy) look(rules.content_policy);
    look(rules.fallbacks);
    return list;
}

FallbackPlan::FallbackPlan(const FallbackRules& rules, NamedGroup first, Meaning meaning)
    : rules_(rules),
      meaning_(std::move(meaning)),
      tried_{std::string(first.name), std::string(first.group)} {}

std::string_view FallbackPlan::next(NamedGroup failed, Kind kind) {
    if (used_ >= rules_.max_fallbacks) return {};
    open_.push_back(fallbacks_for(rules_, failed, kind));
    while (!open_.empty()) {
        auto& list = open_.back();
        if (list.empty()) {
            open_.pop_back();
            continue;
        }
        const std::string& name = list.front();
        list = list.subspan(1);
        if (!untried(name)) continue;
        tried_.emplace_back(meaning_(name));
        ++used_;
        return name;
    }
    return {};
}

bool FallbackPlan::has_next(NamedGroup failed, Kind kind) const {
    if (used_ >= rules_.max_fallbacks) return false;
    const auto any_left = [this](std::span<const std::string> list) {
        return std::any_of(list.begin(), list.end(),
                           [this](const std::string& name) { return untried(name); });
    };
    return any_left(fallbacks_for(rules_, failed, kind)) || std::any_of(open_.begin(), open_.end(), any_left);
}

bool FallbackPlan::untried(std::string_view name) const {
    const std::string_view meant = meaning_(name);
    return !meant.empty() && std::find(tried_.begin(), tried_.end(), meant) == tried_.end();
}

}  // namespace weir::router
