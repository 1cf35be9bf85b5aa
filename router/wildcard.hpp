// Names of models with a '*' in them: "openai/*" takes every name that begins so.
//
// Thread safety: pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::router {

/// What the first '*' of `pattern` stands for in `name`, possibly nothing (""). Empty if `pattern`
/// has no '*' or does not match.
std::optional<std::string_view> wildcard_match(std::string_view pattern,
                                               std::string_view name) noexcept;

/// `pattern` with what its '*' stands for. Without a '*' it is returned as it is: then every name
/// that a deployment takes goes to one model.
std::string wildcard_fill(std::string_view pattern, std::string_view part);

}  // namespace weir::router
