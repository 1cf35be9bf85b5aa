#include "proxy/config_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

namespace weir::proxy {
namespace {

using nlohmann::json;

constexpr shm::Nanos kDay = std::chrono::hours(24);

/// Gathers limits of one configuration.
class Gatherer {
 public:
    explicit Gatherer(const router::RouterConfig& config)
        : config_(config), window_(config.weir.window) {
        if (config.key_limits_count_input_only) callers_tokens_ = "input tokens";
        if (config.key_limits_count_output_only) callers_tokens_ = "output tokens";
    }

    void deployment(const router::DeploymentConfig& entry) {
        add("deployment", entry.id, "requests", entry.rpm, window_);
        add("deployment", entry.id, "tokens", entry.tpm, window_);
        add("deployment", entry.id, "input tokens", entry.itpm, window_);
        add("deployment", entry.id, "output tokens", entry.otpm, window_);
        in_flight("deployment", entry.id, config_.max_parallel_of(entry));
    }

    void caller(const std::string& kind, const std::string& name,
                const router::CallerLimitsConfig& limits) {
        add(kind, name, "requests", limits.rpm, window_);
        add(kind, name, callers_tokens_, limits.tpm, window_);
        add(kind, name, "requests", limits.rpd, kDay);
        add(kind, name, callers_tokens_, limits.tpd, kDay);
        for (const auto& [model, units] : limits.model_rpm) {
            add("model_per_" + kind, name + "/" + model, "requests", units, window_);
        }
        for (const auto& [model, units] : limits.model_tpm) {
            add("model_per_" + kind, name + "/" + model, callers_tokens_, units, window_);
        }
        in_flight(kind, name, limits.max_parallel_requests);
    }

    void in_flight(const std::string& kind, const std::string& name,
                   std::optional<std::uint64_t> most) {
        add(kind, name, "in flight", most, {});
    }

    std::vector<EffectiveLimit> take() { return std::move(limits_); }

 private:
    void add(const std::string& kind, const std::string& name, const std::string& unit,
             std::optional<std::uint64_t> limit, shm::Nanos window) {
        if (limit) limits_.push_back({kind, name, unit, *limit, window});
    }

    const router::RouterConfig& config_;
    shm::Nanos window_;
    std::string callers_tokens_ = "tokens";
    std::vector<EffectiveLimit> limits_;
};

std::string window_text(const EffectiveLimit& limit) {
    if (limit.window == shm::Nanos{}) return "at any moment";
    return fmt::format("in {:g} s", shm::to_seconds(limit.window));
}

}  // namespace

std::vector<EffectiveLimit> effective_limits(const router::RouterConfig& config) {
    Gatherer gatherer(config);
    for (const auto& entry : config.model_list) gatherer.deployment(entry);
    gatherer.in_flight("global", "requests", config.global_max_parallel_requests);
    for (const auto& key : config.weir.keys) {
        gatherer.caller("api_key", key.name, key.limits);
        if (key.end_user) gatherer.caller("end_user", key.name + "/*", key.end_user->limits);
    }
    for (const auto& user : config.weir.users) gatherer.caller("user", user.name, user.limits);
    for (const auto& team : config.weir.teams) gatherer.caller("team", team.name, team.limits);
    for (const auto& user : config.weir.end_users)
        gatherer.caller("end_user", user.name, user.limits);
    if (const auto& all = config.weir.end_user_default)
        gatherer.caller("end_user", "*", all->limits);
    return gatherer.take();
}

std::string limits_table(const std::vector<EffectiveLimit>& limits) {
    if (limits.empty()) return "no limits\n";
    std::size_t scope = 5;
    std::size_t name = 4;
    for (const EffectiveLimit& limit : limits) {
        scope = std::max(scope, limit.scope.size());
        name = std::max(name, limit.name.size());
    }
    std::string table;
    const auto row = [&](std::string_view a, std::string_view b, std::string_view c,
                         std::string_view d, std::string_view e) {
        fmt::format_to(std::back_inserter(table), "{:<{}}  {:<{}}  {:>12}  {:<13}  {}\n", a, scope,
                       b, name, c, d, e);
    };
    row("SCOPE", "NAME", "LIMIT", "UNIT", "WINDOW");
    for (const EffectiveLimit& limit : limits) {
        row(limit.scope, limit.name, std::to_string(limit.limit), limit.unit, window_text(limit));
    }
    return table;
}

std::string limits_json(const std::vector<EffectiveLimit>& limits,
                        const std::vector<router::Problem>& problems) {
    json list = json::array();
    for (const EffectiveLimit& limit : limits) {
        json entry = {{"scope", limit.scope},
                      {"name", limit.name},
                      {"unit", limit.unit},
                      {"limit", limit.limit}};
        if (limit.window != shm::Nanos{}) {
            entry["window_seconds"] = shm::to_seconds(limit.window);
        }
        list.push_back(std::move(entry));
    }
    json said = json::array();
    for (const router::Problem& problem : problems) {
        said.push_back(
            {{"severity",
              problem.severity == router::Problem::Severity::error ? "error" : "warning"},
             {"line", problem.line},
             {"path", problem.path},
             {"message", problem.message}});
    }
    const json all = {{"limits", list}, {"problems", said}};
    return all.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace weir::proxy
