// general_settings and weir_settings.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "router/config_sections.hpp"

namespace weir::router {
namespace {

constexpr auto kGeneralKeys = std::to_array<std::string_view>(
    {"master_key", "max_request_size_mb", "token_rate_limit_type", "global_max_parallel_requests"});

constexpr auto kWeirKeys = std::to_array<std::string_view>(
    {"segment", "segment_size", "window_seconds", "max_body_bytes", "upstream_timeout_seconds",
     "queue", "upstream", "clients", "redis", "fail_mode", "expected_hosts", "drain_seconds", "cost_policy",
     "keys", "users", "teams", "end_users", "end_user_default"});

constexpr auto kGeneralIgnored = std::to_array<Ignored>({
    {"database_url", kNoDatabase},
    {"database_connection_pool_limit", kNoDatabase},
    {"database_connection_timeout", kNoDatabase},
    {"allow_requests_on_db_unavailable", kNoDatabase},
    {"store_model_in_db", kNoDatabase},
    {"store_prompts_in_spend_logs", kNoSpend},
    {"disable_spend_logs", kNoSpend},
    {"proxy_batch_write_at", kNoSpend},
    {"disable_adding_master_key_hash_to_db", kNoDatabase},
    {"user_api_key_cache_ttl", "a reload is obeyed by every worker at once"},
    {"disable_retry_on_max_parallel_request_limit_error",
     "a full deployment is passed over, not retried"},
    {"max_response_size_mb", "answers are relayed, not held"},
    {"background_health_checks", kNoHealthCalls},
    {"health_check_interval", kNoHealthCalls},
    {"health_check_details", kNoHealthCalls},
    {"custom_auth", kNoPlugins},
    {"custom_key_generate", kNoPlugins},
    {"custom_sso", kNoPlugins},
    {"alerting", kNoCallbacks},
    {"alerting_threshold", kNoCallbacks},
    {"alert_types", kNoCallbacks},
    {"alerting_args", kNoCallbacks},
    {"alert_to_webhook_url", kNoCallbacks},
    {"spend_report_frequency", kNoSpend},
    {"completion_model", "a request must name its model"},
    {"infer_model_from_keys", "list the models"},
    {"enforce_user_param", "declare keys for users instead"},
    {"allowed_routes", "all routes are open to all keys"},
    {"admin_only_routes", "there are no admin routes"},
    {"public_routes", "health endpoints need no key"},
    {"ui_access_mode", "there is no user interface"},
    {"allow_user_auth", kNoDatabase},
    {"enable_jwt_auth", "keys are declared in weir_settings.keys"},
    {"litellm_jwtauth", "keys are declared in weir_settings.keys"},
    {"enable_oauth2_auth", "keys are declared in weir_settings.keys"},
    {"litellm_key_header_name", "keys come in authorization, api-key or x-api-key"},
    {"pass_through_endpoints", "there is no pass-through"},
    {"key_management_system", "use os.environ/NAME"},
    {"key_management_settings", "use os.environ/NAME"},
    {"use_google_kms", "use os.environ/NAME"},
    {"use_azure_key_vault", "use os.environ/NAME"},
    {"service_account_settings", kNoDatabase},
    {"use_x_forwarded_for", "addresses are logged as they are seen"},
    {"forward_client_headers_to_llm_api", "headers of clients are not passed on"},
    {"forward_openai_org_id", "headers of clients are not passed on"},
    {"maximum_spend_logs_retention_period", kNoSpend},
    {"always_include_stream_usage", "clients ask for it"},
    {"block_robots", "there is no user interface"},
    {"coordination_redis", kNoRedis},
    {"max_parallel_requests", "give max_parallel_requests to deployments and keys"},
});

void read_queue(const ConfigNode& node, QueueSettings& queue) {
    if (!node.expect_map("max_wait_seconds and max_depth")) return;
    node.only({"max_wait_seconds", "max_depth"});
    queue.max_wait = node.at("max_wait_seconds").seconds(0, 86400).value_or(queue.max_wait);
    queue.max_depth = node.at("max_depth").whole(0, 10'000'000).value_or(queue.max_depth);
}

void read_connections(const ConfigNode& node, ConnectionSettings& upstream) {
    if (!node.expect_map("settings of connections to upstreams")) return;
    node.only({"max_connections", "connect_timeout_seconds", "idle_timeout_seconds",
               "dns_ttl_seconds", "ca_file"});
    upstream.max_per_upstream =
        node.at("max_connections").whole(1, 1'000'000).value_or(upstream.max_per_upstream);
    upstream.connect_timeout =
        node.at("connect_timeout_seconds").seconds(0.001, 3600).value_or(upstream.connect_timeout);
    upstream.idle_timeout =
        node.at("idle_timeout_seconds").seconds(0, 86400).value_or(upstream.idle_timeout);
    upstream.dns_ttl = node.at("dns_ttl_seconds").seconds(0, 86400).value_or(upstream.dns_ttl);
    upstream.ca_file = node.at("ca_file").text().value_or(upstream.ca_file);
}

void read_clients(const ConfigNode& node, ClientSettings& clients) {
    if (!node.expect_map("settings of connections from clients")) return;
    node.only({"max_connections", "max_head_bytes", "idle_timeout_seconds", "head_timeout_seconds",
               "body_timeout_seconds", "write_timeout_seconds", "half_closed_timeout_seconds"});
    clients.max_connections =
        node.at("max_connections").whole(1, 1'000'000).value_or(clients.max_connections);
    // What a connection's read buffer holds is the most that a head can have.
    clients.max_head_bytes = static_cast<std::uint32_t>(
        node.at("max_head_bytes").whole(1024, 48u << 10).value_or(clients.max_head_bytes));
    const auto read = [&](const char* key, shm::Nanos& timeout) {
        timeout = node.at(key).seconds(0.001, 86400).value_or(timeout);
    };
    read("idle_timeout_seconds", clients.idle_timeout);
    read("head_timeout_seconds", clients.head_timeout);
    read("body_timeout_seconds", clients.body_timeout);
    read("write_timeout_seconds", clients.write_timeout);
    read("half_closed_timeout_seconds", clients.half_closed_timeout);
}

void read_fail_mode(const ConfigNode& node, WeirSettings& weir) {
    const auto mode = node.text();
    if (!mode) return;
    if (*mode == "share")
        weir.fail_mode = FailMode::share;
    else if (*mode == "closed")
        weir.fail_mode = FailMode::closed;
    else if (*mode == "open")
        weir.fail_mode = FailMode::open;
    else
        node.error(fmt::format("expected share, closed or open, found \"{}\"", *mode));
}

void read_master_key(const ConfigNode& node, RouterConfig& config) {
    config.master_key = node.text().value_or("");
    if (node.present() && !config.master_key.empty() && config.master_key.rfind("sk-", 0) != 0) {
        node.warn("does not start with sk-, as LiteLLM demands; it is used all the same");
    }
}

}  // namespace

std::optional<CostPolicy> read_cost_policy(const ConfigNode& node) {
    const auto name = node.text();
    if (!name) return std::nullopt;
    const auto policy = cost_policy_from(*name);
    if (!policy)
        node.error(fmt::format("expected sum, max, input, output or split, found \"{}\"", *name));
    return policy;
}

bool fits_in_header(std::string_view text) noexcept {
    return std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && byte != '\t') || byte == 0x7f;
    });
}

SettingTable general_settings() noexcept {
    return {"general_settings", kGeneralKeys, kGeneralIgnored};
}

SettingTable weir_settings() noexcept {
    return {"weir_settings", kWeirKeys, {}};
}

void read_general_settings(const ConfigNode& settings, RouterConfig& config) {
    if (!settings.expect_map("general settings")) return;
    settings.only(kGeneralKeys, kGeneralIgnored);
    read_master_key(settings.at("master_key"), config);
    if (const auto mb = settings.at("max_request_size_mb").number(0.001, 4096)) {
        config.weir.max_body_bytes = static_cast<std::uint64_t>(*mb * (1u << 20));
    }
    const ConfigNode type = settings.at("token_rate_limit_type");
    if (const auto name = type.text()) {
        config.key_limits_count_input_only = *name == "input";
        config.key_limits_count_output_only = *name == "output";
        if (*name != "input" && *name != "output" && *name != "total") {
            type.error(fmt::format("expected total, input or output, found \"{}\"", *name));
        }
    }
    config.global_max_parallel_requests = settings.at("global_max_parallel_requests").limit();
}

void read_weir_settings(const ConfigNode& settings, RouterConfig& config) {
    if (!settings.expect_map("Weir's settings")) return;
    settings.only(kWeirKeys);
    auto& weir = config.weir;
    weir.segment = settings.at("segment").text().value_or(weir.segment);
    weir.segment_size = settings.at("segment_size")
                            .whole(1u << 20, std::uint64_t{1} << 40)
                            .value_or(weir.segment_size);
    weir.window = settings.at("window_seconds").seconds(0.01, 366.0 * 86400).value_or(weir.window);
    weir.max_body_bytes = settings.at("max_body_bytes")
                              .whole(1, std::uint64_t{1} << 32)
                              .value_or(weir.max_body_bytes);
    weir.upstream_timeout = settings.at("upstream_timeout_seconds")
                                .seconds(0.001, 7 * 86400.0)
                                .value_or(weir.upstream_timeout);
    read_queue(settings.at("queue"), weir.queue);
    read_connections(settings.at("upstream"), weir.upstream);
    read_clients(settings.at("clients"), weir.clients);
    read_fail_mode(settings.at("fail_mode"), weir);
    weir.expected_hosts = static_cast<std::uint32_t>(
        settings.at("expected_hosts").whole(1, 100'000).value_or(weir.expected_hosts));
    weir.drain = settings.at("drain_seconds").seconds(0, 86400).value_or(weir.drain);
    weir.cost_policy = read_cost_policy(settings.at("cost_policy")).value_or(weir.cost_policy);
    read_callers(settings, weir);
}

}  // namespace weir::router
