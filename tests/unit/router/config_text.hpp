// What tests of configurations have in common.
#pragma once

#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "router/config.hpp"

namespace weir::router::test {

using Lines = std::vector<std::string>;

/// One deployment, of the group "a"; more may follow.
inline const std::string kMinimal =
    "model_list:\n  - model_name: a\n    litellm_params: {model: m, api_base: http://h}\n";

inline Lines lines(const LoadedConfig& loaded, Problem::Severity severity) {
    Lines list;
    for (const auto& problem : loaded.problems) {
        if (problem.severity == severity) list.push_back(problem.path + ": " + problem.message);
    }
    return list;
}

inline Lines errors(const std::string& text) {
    return lines(parse_config(text), Problem::Severity::error);
}
inline Lines warnings(const std::string& text) {
    return lines(parse_config(text), Problem::Severity::warning);
}

/// A configuration of which nothing is to be said.
inline RouterConfig good(const std::string& text) {
    const auto loaded = parse_config(text);
    for (const auto& problem : loaded.problems) FAIL_CHECK(to_string(problem, "config"));
    return loaded.config;
}

}  // namespace weir::router::test
