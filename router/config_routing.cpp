// router_settings and litellm_settings.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "router/config_sections.hpp"

namespace weir::router {
namespace {

constexpr double kTimeoutMost = 7 * 86400.0;

constexpr auto kRouterKeys = std::to_array<std::string_view>({"routing_strategy",
                                                              "routing_strategy_args",
                                                              "num_retries",
                                                              "max_fallbacks",
                                                              "timeout",
                                                              "stream_timeout",
                                                              "default_litellm_params",
                                                              "default_max_parallel_requests",
                                                              "default_fallbacks",
                                                              "fallbacks",
                                                              "context_window_fallbacks",
                                                              "content_policy_fallbacks",
                                                              "model_group_alias",
                                                              "enable_pre_call_checks",
                                                              "enable_tag_filtering",
                                                              "tag_filtering_match_any",
                                                              "retry_after",
                                                              "retry_policy",
                                                              "model_group_retry_policy",
                                                              "allowed_fails",
                                                              "allowed_fails_policy",
                                                              "cooldown_time",
                                                              "disable_cooldowns",
                                                              "default_priority",
                                                              "optional_pre_call_checks",
                                                              "redis_url",
                                                              "redis_host",
                                                              "redis_port",
                                                              "redis_password",
                                                              "redis_username",
                                                              "redis_db",
                                                              "redis_ssl",
                                                              "cache_kwargs"});

constexpr auto kLitellmKeys = std::to_array<std::string_view>(
    {"request_timeout", "num_retries", "fallbacks", "default_fallbacks", "max_fallbacks",
     "context_window_fallbacks",
     "content_policy_fallbacks", "allowed_fails", "cooldown_time", "priority_reservation",
     "priority_reservation_settings", "callbacks", "success_callback", "failure_callback",
     "json_logs", "require_auth_for_metrics_endpoint", "turn_off_message_logging",
     "redact_user_api_key_info", "telemetry"});

/// The callbacks that are not needed, because what they do is built in.
constexpr std::array<std::string_view, 4> kBuiltIn = {
    "prometheus", "dynamic_rate_limiter", "dynamic_rate_limiter_v3", "parallel_request_limiter"};

std::optional<std::uint32_t> count(const ConfigNode& node, std::uint64_t most) {
    const auto value = node.whole(0, most);
    if (!value) return std::nullopt;
    return static_cast<std::uint32_t>(*value);
}

/// [{"a": ["b", "c"]}, …], as LiteLLM has it; a plain mapping is understood too.
void read_lists(const ConfigNode& node, FallbackLists& lists) {
    if (!node.present()) return;
    const std::vector<ConfigNode> maps =
        node.is_map() ? std::vector<ConfigNode>{node} : node.items();
    for (const ConfigNode& map : maps) {
        if (!map.expect_map("groups and their fallbacks")) continue;
        for (const auto& [group, list] : map.members()) lists[group] = list.texts();
    }
}

void read_fallbacks(const ConfigNode& settings, FallbackRules& rules) {
    read_lists(settings.at("fallbacks"), rules.fallbacks);
    read_lists(settings.at("context_window_fallbacks"), rules.context_window);
    read_lists(settings.at("content_policy_fallbacks"), rules.content_policy);
    const auto everybodys = settings.at("default_fallbacks").texts();
    if (!everybodys.empty()) rules.fallbacks["*"] = everybodys;
    if (const auto n = count(settings.at("max_fallbacks"), 100)) rules.max_fallbacks = *n;
}

PerKind read_per_kind(const ConfigNode& node, const std::string& ending) {
    PerKind numbers;
    if (!node.expect_map("numbers by class of error")) return numbers;
    const std::array<std::pair<std::string, std::optional<std::uint32_t>*>, 6> names = {
        {{"BadRequestError", &numbers.bad_request},
         {"AuthenticationError", &numbers.auth},
         {"TimeoutError", &numbers.timeout},
         {"RateLimitError", &numbers.rate_limit},
         {"ContentPolicyViolationError", &numbers.content_policy},
         {"InternalServerError", &numbers.server_error}}};
    std::vector<std::string> keys;
    for (const auto& [name, number] : names) {
        keys.push_back(name + ending);
        *number = count(node.at(keys.back()), 1'000'000);
    }
    const std::vector<std::string_view> known(keys.begin(), keys.end());
    // Classes that newer versions of LiteLLM tell apart.
    const auto others = std::to_array<Ignored>(
        {{"ServiceUnavailableErrorRetries", "a 503 is an InternalServerError"},
         {"NotFoundErrorRetries", "a 404 is not retried"},
         {"DefaultRetries", "see num_retries"}});
    node.only(known, others);
    return numbers;
}

void read_aliases(const ConfigNode& node, RouterConfig& config) {
    if (!node.expect_map("aliases and their groups")) return;
    for (const auto& [alias, target] : node.members()) {
        if (target.is_map()) {
            target.only({"model", "hidden"});
            const auto group = target.at("model").text();
            if (!group) target.error("model is missing; expected the name of a group");
            config.model_group_alias[alias] = {group.value_or(""),
                                               target.at("hidden").boolean().value_or(false)};
        } else if (const auto group = target.text()) {
            config.model_group_alias[alias] = {*group, false};
        }
    }
}

void read_strategy(const ConfigNode& settings, RouterConfig& config) {
    const ConfigNode node = settings.at("routing_strategy");
    if (const auto name = node.text()) {
        if (const auto strategy = strategy_from(*name)) {
            config.strategy = *strategy;
            config.routing_strategy = *name;
        } else {
            node.error(fmt::format(
                "expected simple-shuffle, least-busy, usage-based-routing, usage-based-routing-v2, "
                "latency-based-routing or cost-based-routing, found \"{}\"",
                *name));
        }
    }
    const ConfigNode args = settings.at("routing_strategy_args");
    if (!args.expect_map("arguments of the strategy")) return;
    args.only({"lowest_latency_buffer", "ttl"},
              std::to_array<Ignored>(
                  {{"max_latency_list_size", "averages are moving; old latencies fade"}}));
    config.latency_memory = args.at("ttl").seconds(1, 31 * 86400.0).value_or(config.latency_memory);
    config.latency_buffer = args.at("lowest_latency_buffer").number(0, 1e6).value_or(0);
}

void read_retries(const ConfigNode& settings, RouterConfig& config) {
    if (const auto n = count(settings.at("num_retries"), 100)) config.retries.num_retries = *n;
    if (const auto t = settings.at("retry_after").seconds(0, 3600)) config.retries.least_wait = *t;
    config.retries.policy = read_per_kind(settings.at("retry_policy"), "Retries");
    const ConfigNode groups = settings.at("model_group_retry_policy");
    if (!groups.expect_map("groups and their retry policies")) return;
    for (const auto& [group, policy] : groups.members()) {
        config.group_retry_policy[group] = read_per_kind(policy, "Retries");
    }
}

void read_cooldowns(const ConfigNode& settings, CooldownRules& rules) {
    // LiteLLM takes 3, its default, for "not set": then the rates decide.
    constexpr std::uint32_t not_set = 3;
    const auto allowed = count(settings.at("allowed_fails"), 1'000'000);
    if (allowed) rules.allowed_fails = *allowed == not_set ? std::nullopt : allowed;
    if (const auto t = settings.at("cooldown_time").seconds(0, kTimeoutMost))
        rules.cooldown_time = *t;
}

void read_pre_call_checks(const ConfigNode& node) {
    for (const std::string& name : node.texts()) {
        if (name == "enforce_model_rate_limits") continue;  // that is what Weir does
        node.warn(fmt::format("{} is not supported, it has no effect", name));
    }
}

void read_priorities(const ConfigNode& settings, PrioritySettings& priorities) {
    const ConfigNode shares = settings.at("priority_reservation");
    if (shares.expect_map("priorities and their shares")) {
        double sum = 0;
        for (const auto& [name, node] : shares.members()) {
            if (node.is_map()) {
                node.error(
                    "expected a share from 0 to 1; other kinds of reservation are not supported");
            } else if (const auto share = node.number(0, 1)) {
                priorities.shares[name] = *share;
                sum += *share;
            }
        }
        if (sum > 1.0 + 1e-9)
            shares.error(fmt::format("the shares add up to {:g}, which is more than 1", sum));
    }
    const ConfigNode more = settings.at("priority_reservation_settings");
    if (!more.expect_map("default_priority and saturation_threshold")) return;
    more.only({"default_priority", "saturation_threshold"},
              std::to_array<Ignored>(
                  {{"saturation_check_cache_ttl", "saturation is known at every request"},
                   {"saturation_policy", "see saturation_threshold"}}));
    priorities.default_share =
        more.at("default_priority").number(0, 1).value_or(priorities.default_share);
    priorities.saturation_threshold =
        more.at("saturation_threshold").number(0, 1).value_or(priorities.saturation_threshold);
}

void read_callbacks(const ConfigNode& node) {
    for (const std::string& name : node.texts()) {
        if (std::find(kBuiltIn.begin(), kBuiltIn.end(), name) != kBuiltIn.end()) continue;
        node.warn(fmt::format("{} is not supported, it has no effect: there are no callbacks; /metrics and "
                              "the access log are built in", name));
    }
}

}  // namespace

SettingTable router_settings() noexcept {
    return {"router_settings", kRouterKeys, ignored_router_settings()};
}

SettingTable litellm_settings() noexcept {
    return {"litellm_settings", kLitellmKeys, ignored_litellm_settings()};
}

void read_router_settings(const ConfigNode& settings, RouterConfig& config) {
    if (!settings.expect_map("router settings")) return;
    settings.only(kRouterKeys, ignored_router_settings());
    read_strategy(settings, config);
    read_retries(settings, config);
    read_cooldowns(settings, config.cooldowns);
    config.cooldowns.disabled = settings.at("disable_cooldowns").boolean().value_or(false);
    config.cooldowns.allowed_fails_policy =
        read_per_kind(settings.at("allowed_fails_policy"), "AllowedFails");
    read_fallbacks(settings, config.fallbacks);
    read_aliases(settings.at("model_group_alias"), config);
    if (const auto t = settings.at("timeout").seconds(0.001, kTimeoutMost)) config.timeout = *t;
    config.stream_timeout = settings.at("stream_timeout").seconds(0.001, kTimeoutMost);
    config.default_max_parallel_requests = settings.at("default_max_parallel_requests").limit();
    if (const auto p = settings.at("default_priority").whole(0, 255)) {
        config.default_priority = static_cast<std::uint8_t>(*p);
    }
    config.tags.enabled = settings.at("enable_tag_filtering").boolean().value_or(false);
    config.tags.match_any = settings.at("tag_filtering_match_any").boolean().value_or(true);
    config.enable_pre_call_checks = settings.at("enable_pre_call_checks").boolean().value_or(false);
    read_pre_call_checks(settings.at("optional_pre_call_checks"));
}

void read_litellm_settings(const ConfigNode& settings, RouterConfig& config) {
    if (!settings.expect_map("LiteLLM's settings")) return;
    settings.only(kLitellmKeys, ignored_litellm_settings());
    config.timeout = settings.at("request_timeout").seconds(0.001, kTimeoutMost);
    if (const auto n = count(settings.at("num_retries"), 100)) config.retries.num_retries = *n;
    read_fallbacks(settings, config.fallbacks);
    read_cooldowns(settings, config.cooldowns);
    read_priorities(settings, config.priorities);
    for (const char* key : {"callbacks", "success_callback", "failure_callback"})
        read_callbacks(settings.at(key));
    config.json_logs = settings.at("json_logs").boolean().value_or(false);
    config.metrics_need_key =
        settings.at("require_auth_for_metrics_endpoint").boolean().value_or(false);
    if (settings.at("turn_off_message_logging").boolean() == false) {
        settings.at("turn_off_message_logging").warn("messages are never logged");
    }
}

}  // namespace weir::router
