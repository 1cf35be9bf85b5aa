// The router's configuration: what a LiteLLM config.yaml says about deployments, as plain values.
//
// Reading never stops at the first mistake: all problems of a file are reported in one run, each with its
// place in the file, its path, what was found and what was expected.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/cooldown.hpp"
#include "router/cost.hpp"
#include "router/fallback.hpp"
#include "router/retry.hpp"
#include "router/strategy.hpp"
#include "shm/clock.hpp"

namespace YAML {
class Node;
}

namespace weir::router {

/// One thing that is wrong, or merely not understood, in a configuration file.
struct Problem {
    enum class Severity : std::uint8_t { warning, error };
    Severity severity = Severity::error;
    int line = 0;         ///< 1-based; 0 when the place is not known
    std::string path;     ///< "model_list[1].litellm_params.rpm"
    std::string message;  ///< "expected a whole number from 1 to 549755813887, found \"many\""
};

/// One entry of `model_list`.
struct DeploymentConfig {
    std::string id;          ///< model_info.id, or group, model and api_base joined; unique in the list
    std::string model_name;  ///< the group that clients ask for
    std::string model;       ///< as the upstream knows it, without the provider prefix
    std::string api_key;
    std::string api_base;  ///< http://host[:port][/path], without a slash at the end
    std::optional<std::uint64_t> rpm;
    std::optional<std::uint64_t> tpm;
    std::optional<double> weight;
    std::int64_t order = kLastOrder;                 ///< lower first
    double cost = kUnknownCost;                      ///< per input token plus per output token
    CostPolicy cost_policy = CostPolicy::sum;
    std::optional<std::uint64_t> max_parallel_requests;
    std::optional<shm::Nanos> timeout;
    std::optional<shm::Nanos> stream_timeout;        ///< goes before `timeout` for streams
    std::optional<shm::Nanos> cooldown_time;
};

/// `weir_settings`: what LiteLLM has no name for.
struct WeirSettings {
    std::string segment = "weir";
    std::uint64_t segment_size = 16u << 20;           ///< bytes
    shm::Nanos window = std::chrono::seconds(60);     ///< 10 ms .. 366 days
    std::uint64_t max_body_bytes = 32u << 20;
    shm::Nanos upstream_timeout = std::chrono::seconds(600);
};

struct RouterConfig {
    std::vector<DeploymentConfig> model_list;
    std::string routing_strategy = "simple-shuffle";
    double latency_buffer = 0;  ///< routing_strategy_args.lowest_latency_buffer
    RetryRules retry;           ///< num_retries, retry_policy, retry_after
    std::map<std::string, PerKind, std::less<>> group_retry_policy;  ///< model_group_retry_policy
    CooldownRules cooldown;     ///< allowed_fails, cooldown_time …
    FallbackRules fallback;     ///< fallbacks, default_fallbacks …
    std::string master_key;  ///< general_settings.master_key; empty: no key is asked for
    WeirSettings weir;
};

/// A configuration, and what there is to say about it. Use the config only if `ok()`.
struct LoadedConfig {
    RouterConfig config;
    std::vector<Problem> problems;
    bool ok() const;
};

/// Reads `file`. Missing files and malformed YAML are problems like any other.
LoadedConfig load_config(const std::string& file);

/// The same from text; `os.environ/X` values come from the environment.
LoadedConfig parse_config(const std::string& text);

/// "FILE:12: error: model_list[0].model_name: …", one line without its end.
std::string to_string(const Problem& problem, std::string_view file);

}  // namespace weir::router
