#include "router/config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include "router/config_node.hpp"
#include "router/config_sections.hpp"

namespace weir::router {
namespace {

constexpr auto kSections =
    std::to_array<std::string_view>({"model_list", "router_settings", "litellm_settings",
                                     "general_settings", "environment_variables", "weir_settings"});

/// What os.environ/X refers to before the environment itself.
void read_variables(const ConfigNode& section, ConfigRun& run) {
    if (!section.expect_map("variables and their values")) return;
    for (const auto& [name, value] : section.members()) {
        if (const auto text = value.text()) run.variables[name] = *text;
    }
}

void read_sections(const ConfigNode& top, ConfigRun& run, RouterConfig& config) {
    top.only(kSections, ignored_sections());
    read_variables(top.at("environment_variables"), run);
    read_litellm_settings(top.at("litellm_settings"), config);
    read_router_settings(top.at("router_settings"), config);
    read_general_settings(top.at("general_settings"), config);
    read_weir_settings(top.at("weir_settings"), config);
    read_redis(top, config);
    read_model_list(top.at("model_list"), top.at("router_settings").at("default_litellm_params"),
                    config);
    check_references(top, config);
}

}  // namespace

SettingTable top_settings() noexcept {
    return {"sections", kSections, ignored_sections()};
}

bool LoadedConfig::ok() const {
    return std::none_of(problems.begin(), problems.end(),
                        [](const Problem& p) { return p.severity == Problem::Severity::error; });
}

LoadedConfig parse_config(const std::string& text, const Environment& environment) {
    LoadedConfig loaded;
    try {
        ConfigRun run{loaded.problems, environment, {}};
        const ConfigNode top(YAML::Load(text), "", run);
        if (top.expect_map("a model_list")) {
            read_sections(top, run, loaded.config);
        } else if (!top.present()) {
            top.error("expected a mapping with a model_list, found nothing");
        }
    } catch (const YAML::Exception& e) {
        loaded.problems.push_back(
            {Problem::Severity::error, e.mark.line + 1, "", "malformed YAML: " + e.msg});
    }
    std::stable_sort(loaded.problems.begin(), loaded.problems.end(),
                     [](const Problem& a, const Problem& b) { return a.line < b.line; });
    return loaded;
}

LoadedConfig load_config(const std::string& file) {
    std::ifstream in(file);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in || !text) {
        LoadedConfig loaded;
        loaded.problems.push_back({Problem::Severity::error, 0, "", "cannot be read"});
        return loaded;
    }
    return parse_config(text.str());
}

std::string to_string(const Problem& problem, std::string_view file) {
    const std::string line = problem.line > 0 ? fmt::format(":{}", problem.line) : std::string();
    const std::string path = problem.path.empty() ? std::string() : problem.path + ": ";
    const bool error = problem.severity == Problem::Severity::error;
    std::string text = fmt::format("{}{}: {}: {}{}", file, line, error ? "error" : "warning", path,
                                   problem.message);
    // Keys and values are quoted as they stand, and a quoted one of YAML may go over several lines.
    std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    return text;
}

}  // namespace weir::router
