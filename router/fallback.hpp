// Which model group answers when another has failed: LiteLLM's fallbacks.
//
// Thread safety: FallbackRules are values; a FallbackPlan belongs to one request.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router/outcome.hpp"

namespace weir::router {

/// Lists of groups by the group that failed, or by the name it was asked by: an alias, or a name that a
/// wildcard takes.
using FallbackLists = std::map<std::string, std::vector<std::string>, std::less<>>;

struct FallbackRules {
    FallbackLists fallbacks;       ///< in each the key "*" stands for groups without a list of their own
    FallbackLists context_window;  ///< for prompts that are too long, before `fallbacks`
    FallbackLists content_policy;  ///< for prompts that are filtered, before `fallbacks`
    std::uint32_t max_fallbacks = 5;
};

/// A group, and the name it was asked by; mostly the same.
struct NamedGroup {
    std::string_view name;
    std::string_view group;
};

/// Where to go when `asked` has failed by `kind`, in order; may contain it. A list by the name comes before
/// one by the group.
std::span<const std::string> fallbacks_for(const FallbackRules& rules, NamedGroup asked, Kind kind) noexcept;

/// The groups of one request, each at most once, by whatever name: after a failure the failed group's own
/// fallbacks come first, then what is left of the lists before it.
class FallbackPlan {
 public:
    /// What a name in a list stands for: of an alias its group, of another name that name. Empty: nothing,
    /// and it is passed over.
    using Meaning = std::function<std::string_view(std::string_view)>;

    /// `rules` must outlive it.
    FallbackPlan(const FallbackRules& rules, NamedGroup first, Meaning meaning);

    /// The group to try after `failed` failed by `kind`; empty when there is none, or max_fallbacks
    /// are used up.
    std::string_view next(NamedGroup failed, Kind kind);

    /// Whether `next` would find one.
    bool has_next(NamedGroup failed, Kind kind) const;

    /// How many groups `next` has given out.
    std::uint32_t used() const noexcept { return used_; }

 private:
    bool untried(std::string_view name) const;

    const FallbackRules& rules_;
    Meaning meaning_;
    std::vector<std::string> tried_;  // what their names mean
    std::vector<std::span<const std::string>> open_;  // the last is the next to look at
    std::uint32_t used_ = 0;
};

}  // namespace weir::router
