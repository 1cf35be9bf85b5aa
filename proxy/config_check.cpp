#include "proxy/config_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "router/redis_url.hpp"

namespace weir::proxy {
namespace {

using nlohmann::json;

constexpr shm::Nanos kDay = std::chrono::hours(24);
/// So many limits are named where all would be too much to read.
constexpr std::size_t kNamedMost = 8;

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

const char* kind_of(const router::RedisSettings& redis) {
    switch (redis.kind) {
        case router::RedisSettings::Kind::none: break;
        case router::RedisSettings::Kind::single: return "single";
        case router::RedisSettings::Kind::sentinel: return "sentinel";
        case router::RedisSettings::Kind::cluster: return "cluster";
    }
    return "none";
}

const char* name_of(router::FailMode mode) {
    switch (mode) {
        case router::FailMode::share: break;
        case router::FailMode::closed: return "closed";
        case router::FailMode::open: return "open";
    }
    return "share";
}

/// As whom the Redis is spoken to. A name without a password is not shown: it may be one in the wrong place.
std::string user_text(const router::RedisSettings& redis) {
    if (redis.password.empty()) return "nobody, for there is no password";
    return (redis.username.empty() ? "default" : redis.username) + ", with a password";
}

std::string tls_text(const router::RedisSettings& redis) {
    if (!redis.tls) return "no";
    return "yes, with " + (redis.ca_file.empty() ? "the system's authorities" : "those of " + redis.ca_file);
}

double milliseconds(shm::Nanos time) {
    return shm::to_seconds(time) * 1000;
}

json redis_json(const router::WeirSettings& weir) {
    const router::RedisSettings& redis = weir.redis;
    if (!redis.enabled()) return nullptr;
    json addresses = json::array();
    for (const auto& node : redis.nodes) addresses.push_back(to_string(node));
    json all = {{"kind", kind_of(redis)},
                {"addresses", std::move(addresses)},
                {"database", redis.database},
                {"password", !redis.password.empty()},
                {"tls", redis.tls},
                {"prefix", redis.prefix},
                {"lease_seconds", shm::to_seconds(redis.lease)},
                {"wait_ms", milliseconds(redis.wait)},
                {"timeout_ms", milliseconds(redis.timeout)},
                {"fail_mode", name_of(weir.fail_mode)},
                {"expected_hosts", weir.expected_hosts}};
    if (!redis.password.empty() && !redis.username.empty()) all["username"] = redis.username;
    if (redis.tls && !redis.ca_file.empty()) all["ca_file"] = redis.ca_file;
    if (redis.kind == router::RedisSettings::Kind::sentinel) {
        all["service_name"] = redis.service_name;
        all["sentinel_password"] = !redis.sentinel_password.empty();
    }
    return all;
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

std::string redis_table(const router::WeirSettings& weir) {
    const router::RedisSettings& redis = weir.redis;
    if (!redis.enabled()) return "no Redis: the limits are of this host alone\n";
    std::string table;
    const auto row = [&](std::string_view name, const std::string& value) {
        fmt::format_to(std::back_inserter(table), "{:<16}{}\n", name, value);
    };
    std::string addresses;
    for (const auto& node : redis.nodes) addresses += (addresses.empty() ? "" : ", ") + to_string(node);
    row("REDIS", kind_of(redis));
    row("addresses", addresses);
    if (redis.kind == router::RedisSettings::Kind::sentinel) {
        row("master", redis.service_name);
        row("sentinels'", redis.sentinel_password.empty() ? "no password" : "a password of their own");
    }
    row("database", std::to_string(redis.database));
    row("user", user_text(redis));
    row("TLS", tls_text(redis));
    row("prefix", redis.prefix);
    row("lease", fmt::format("{:g} s", shm::to_seconds(redis.lease)));
    row("wait", fmt::format("{:g} ms", milliseconds(redis.wait)));
    row("timeout", fmt::format("{:g} ms", milliseconds(redis.timeout)));
    row("fail mode", name_of(weir.fail_mode));
    row("expected hosts", std::to_string(weir.expected_hosts));
    return table;
}

void warn_of_empty_shares(router::LoadedConfig& loaded) {
    const router::WeirSettings& weir = loaded.config.weir;
    if (!loaded.ok() || !weir.redis.enabled() || weir.fail_mode != router::FailMode::share) return;
    std::string named;
    std::size_t count = 0;
    for (const EffectiveLimit& limit : effective_limits(loaded.config)) {
        // The global one is each host's own.
        if (limit.limit >= weir.expected_hosts || limit.scope == "global") continue;
        if (++count > kNamedMost) continue;
        if (count > 1) named += ", ";
        named += fmt::format("{} {} ({} {})", limit.scope, limit.name, limit.limit, limit.unit);
    }
    if (count == 0) return;
    if (count > kNamedMost) named += fmt::format(" and {} more", count - kNamedMost);
    loaded.problems.push_back(
        {router::Problem::Severity::warning, 0, "weir_settings.expected_hosts",
         fmt::format("without contact to Redis, {} hosts divide limits that are smaller than that, and then "
                     "allow nothing: {}; raise them, or set fail_mode to open",
                     weir.expected_hosts, named)});
}

std::string check_json(const router::LoadedConfig& loaded) {
    const bool ok = loaded.ok();
    const auto limits = ok ? effective_limits(loaded.config) : std::vector<EffectiveLimit>();
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
    for (const router::Problem& problem : loaded.problems) {
        said.push_back(
            {{"severity",
              problem.severity == router::Problem::Severity::error ? "error" : "warning"},
             {"line", problem.line},
             {"path", problem.path},
             {"message", problem.message}});
    }
    const json all = {{"limits", list},
                      {"redis", ok ? redis_json(loaded.config.weir) : json(nullptr)},
                      {"problems", said}};
    return all.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace weir::proxy
