// Which deployments of a group a request may go to by its tags: LiteLLM's enable_tag_filtering.
//
// A request with tags goes to those that have one of them (or all, without `match_any`), or else to those
// tagged "default"; one without goes to those tagged "default", or to any if there are none.
//
// Thread safety: values.
#pragma once

#include <span>
#include <string>

namespace weir::router {

struct TagRules {
    bool enabled = false;
    bool match_any = true;
};

class TagFilter {
 public:
    /// Lets everything pass.
    TagFilter() = default;

    /// For a request with `tags`, which must outlive it. Every deployment of the group must be shown to it.
    TagFilter(const TagRules& rules, std::span<const std::string> tags) noexcept
        : rules_(rules), tags_(tags) {}

    /// Shows it a deployment.
    void see(std::span<const std::string> deployment) noexcept;

    /// Whether a deployment with these tags may be asked.
    bool allows(std::span<const std::string> deployment) const noexcept;

 private:
    bool matches(std::span<const std::string> deployment) const noexcept;

    TagRules rules_;
    std::span<const std::string> tags_;
    bool any_matches_ = false;
    bool any_default_ = false;
};

}  // namespace weir::router
