// Settings of LiteLLM's that are known and have no effect here, each with the reason: users are warned of
// them, and docs/litellm.md lists them.
//
// Private to the reading of configurations. Thread safety: pure.
#pragma once

#include <span>
#include <string_view>

namespace weir::router {

/// Settings that are known and have no effect, and why.
struct Ignored {
    std::string_view names;  ///< separated by single spaces; one '*' in each stands for any text
    std::string_view why;

    /// Whether `key` is one of them.
    bool has(std::string_view key) const noexcept;
};

std::span<const Ignored> ignored_sections() noexcept;  ///< at the top of the file
std::span<const Ignored> ignored_params() noexcept;    ///< in litellm_params
std::span<const Ignored> ignored_router_settings() noexcept;
std::span<const Ignored> ignored_litellm_settings() noexcept;
std::span<const Ignored> ignored_general_settings() noexcept;
std::span<const Ignored> ignored_of_callers() noexcept;  ///< of keys, users, teams and end users

}  // namespace weir::router
