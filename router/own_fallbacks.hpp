// What one request says about fallbacks, as LiteLLM's clients may: groups of its own, none at all, or
// a failure that is only pretended, to see where it leads.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/fallback.hpp"

namespace weir::router {

/// The most groups that a request may name in all its lists.
inline constexpr std::size_t kOwnFallbacksMax = 32;

struct OwnFallbacks {
    std::vector<std::string> anyhow;  ///< whatever has failed, and why: in place of all lists
    std::optional<FallbackLists> fallbacks;       ///< in place of the configuration's
    std::optional<FallbackLists> context_window;  ///< likewise
    std::optional<FallbackLists> content_policy;  ///< likewise
    std::optional<std::uint32_t> max_fallbacks;   ///< likewise
    bool disabled = false;
    std::optional<Kind> pretended;  ///< how the first group is to fail, without being asked
};

/// Reads the value of "fallbacks" (or of its two likes), which is valid JSON: a list of model names, of
/// objects with a "model" alone, or of {group: [names]}. Names that stand for any group go to `anyhow`.
/// False if it is something else, or names too many.
bool read_fallbacks(std::string_view json, std::vector<std::string>& anyhow, FallbackLists& lists);

/// The rules of a request with `own`.
FallbackRules with_own(const FallbackRules& rules, const OwnFallbacks& own);

/// Puts what `meaning` says in the place of each name: of where `own` leads, and of whose lists it has.
void rename(OwnFallbacks& own, const std::function<std::string_view(std::string_view name)>& meaning);

/// All names that `own` leads to. Views into it.
std::vector<std::string_view> named_in(const OwnFallbacks& own);

}  // namespace weir::router
