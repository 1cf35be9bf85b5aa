// general_settings and weir_settings.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "router/config_sections.hpp"

namespace weir::router {
namespace {

constexpr auto kGeneralKeys = std::to_array<std::string_view>(
    {"master_key", "max_request_size_mb", "token_rate_limit_type", "global_max_parallel_requests",
     "litellm_key_header_name", "user_header_name", "enforce_user_param",
     "always_include_stream_usage"});

constexpr auto kWeirKeys = std::to_array<std::string_view>(
    {"segment", "segment_size", "window_seconds", "max_body_bytes", "upstream_timeout_seconds",
     "queue", "request_options", "upstream", "clients", "redis", "fail_mode", "expected_hosts",
     "drain_seconds", "cost_policy",
     "keys", "users", "teams", "end_users", "end_user_default"});

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
    clients.max_head_bytes = static_cast<std::uint32_t>(
        node.at("max_head_bytes").whole(1024, kHeadBytesMost).value_or(clients.max_head_bytes));
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

/// Where the file has none LiteLLM takes the environment's: who relies on it must not stand without one.
void read_master_key(const ConfigNode& node, RouterConfig& config) {
    config.master_key = node.present() ? node.text().value_or("")
                                       : node.variable("LITELLM_MASTER_KEY").value_or("");
    if (!config.master_key.empty() && config.master_key.rfind("sk-", 0) != 0) {
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
    return {"general_settings", kGeneralKeys, ignored_general_settings()};
}

SettingTable weir_settings() noexcept {
    return {"weir_settings", kWeirKeys, {}};
}

void read_general_settings(const ConfigNode& settings, RouterConfig& config) {
    read_master_key(settings.at("master_key"), config);
    if (!settings.expect_map("general settings")) return;
    settings.only(kGeneralKeys, ignored_general_settings());
    config.key_field = settings.at("litellm_key_header_name").text().value_or("");
    config.user_field = settings.at("user_header_name").text().value_or("");
    config.user_needed = settings.at("enforce_user_param").boolean().value_or(false);
    config.usage_in_streams = settings.at("always_include_stream_usage").boolean().value_or(false);
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
