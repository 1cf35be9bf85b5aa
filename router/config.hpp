// The router's configuration: what a LiteLLM config.yaml says, as plain values.
//
// Reading never stops at the first mistake: all problems of a file are reported in one run, each
// with its place in the file, its path, what was found and what was expected. What has no effect
// here is a warning, never silence; docs/litellm.md lists it.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/config_keys.hpp"
#include "router/cooldown.hpp"
#include "router/cost.hpp"
#include "router/fallback.hpp"
#include "router/redis_settings.hpp"
#include "router/retry.hpp"
#include "router/strategy.hpp"
#include "router/tag_filter.hpp"
#include "shm/clock.hpp"

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
    std::string id;  ///< model_info.id, or group, model and api_base joined; unique in the list
    std::string model_name;  ///< the group that clients ask for; may hold one '*', see wildcard.hpp
    std::string model;       ///< as the upstream knows it, without the provider prefix
    std::string api_key;     ///< empty: none is sent
    std::string api_base;    ///< http[s]://host[:port][/path], without a slash at the end
    std::optional<std::uint64_t> rpm;
    std::optional<std::uint64_t> tpm;
    std::optional<double> weight;

    std::string provider = "openai";                                 ///< see provider.hpp
    std::string api_version;                                         ///< azure
    std::string organization;                                        ///< openai
    std::vector<std::pair<std::string, std::string>> extra_headers;  ///< sent with every request
    std::optional<std::uint64_t> itpm;                               ///< input tokens a window
    std::optional<std::uint64_t> otpm;                               ///< output tokens a window
    std::optional<std::uint64_t> max_parallel_requests;              ///< over all processes
    std::int64_t order = kLastOrder;                                 ///< lower first
    std::optional<shm::Nanos> timeout;         ///< as RouterConfig has it, and goes before that
    std::optional<shm::Nanos> stream_timeout;  ///< likewise
    std::optional<std::uint32_t> num_retries;
    std::optional<shm::Nanos> cooldown_time;
    std::vector<std::string> tags;
    std::optional<double> input_cost_per_token;
    std::optional<double> output_cost_per_token;
    CostPolicy cost_policy = CostPolicy::sum;
    std::string mode;        ///< model_info.mode, "chat" …; empty if not given
    std::string base_model;  ///< model_info.base_model
    std::optional<std::uint64_t> max_input_tokens;   ///< model_info.max_input_tokens
    std::optional<std::uint64_t> max_output_tokens;  ///< model_info.max_output_tokens

    /// For cost-based-routing: input plus output, each 5 where it is missing.
    double cost() const noexcept {
        return input_cost_per_token.value_or(5) + output_cost_per_token.value_or(5);
    }
};

/// Another name for a group.
struct GroupAlias {
    std::string group;
    bool hidden = false;  ///< not listed among the models
};

/// What to do when what joins hosts together is gone.
enum class FailMode : std::uint8_t {
    share,   ///< each host takes its share of every limit
    closed,  ///< refuse
    open,    ///< each host takes the whole limit
};

/// Requests that wait for capacity instead of being refused.
struct QueueSettings {
    shm::Nanos max_wait{};  ///< 0: nobody waits unless the request asks for it, and then up to 0
    std::uint64_t max_depth = 10000;  ///< waiting requests of one process
};

/// How connections to upstreams are made and kept.
struct ConnectionSettings {
    std::uint64_t max_per_upstream = 1000;  ///< of one process
    shm::Nanos connect_timeout = std::chrono::seconds(5);
    shm::Nanos idle_timeout = std::chrono::seconds(60);
    shm::Nanos dns_ttl = std::chrono::seconds(30);
    std::string ca_file;  ///< PEM; empty: the system's
};

/// What a connection's read buffer holds is the most that the head of a request can have.
inline constexpr std::uint32_t kHeadBytesMost = 48u << 10;

/// What the proxy bears from its clients: of each process, and for each connection.
struct ClientSettings {
    std::uint64_t max_connections = 10000;  ///< of one process; who comes on top is told 503
    std::uint32_t max_head_bytes = 32u << 10;
    shm::Nanos idle_timeout = std::chrono::seconds(75);   ///< between two requests
    shm::Nanos head_timeout = std::chrono::seconds(15);   ///< from its first byte on; TLS handshakes too
    shm::Nanos body_timeout = std::chrono::seconds(30);   ///< between two pieces of a body
    shm::Nanos write_timeout = std::chrono::seconds(60);  ///< to take a piece of an answer
    shm::Nanos half_closed_timeout =
        std::chrono::seconds(2);  ///< who has closed its side waits so long for an answer's head
};

/// `weir_settings`: what LiteLLM has no name for.
struct WeirSettings {
    std::string segment = "weir";
    std::uint64_t segment_size = 16u << 20;        ///< bytes
    shm::Nanos window = std::chrono::seconds(60);  ///< 10 ms .. 366 days
    std::uint64_t max_body_bytes = 32u << 20;
    shm::Nanos upstream_timeout = std::chrono::seconds(600);  ///< where no other is given

    QueueSettings queue;
    ConnectionSettings upstream;
    ClientSettings clients;
    RedisSettings redis;
    FailMode fail_mode = FailMode::share;
    std::uint32_t expected_hosts = 1;
    shm::Nanos drain = std::chrono::seconds(30);  ///< for running answers at a stop
    CostPolicy cost_policy = CostPolicy::sum;     ///< of deployments that name none
    RequestBounds request_options;  ///< what requests of keys may ask for
    std::vector<KeyConfig> keys;
    std::vector<OwnerConfig> users;
    std::vector<OwnerConfig> teams;
    std::vector<OwnerConfig> end_users;            ///< by the body's `user`
    std::optional<CallerConfig> end_user_default;  ///< for every other `user`, each on its own
};

/// Shares of a limit by priority: `litellm_settings.priority_reservation`.
struct PrioritySettings {
    std::map<std::string, double, std::less<>> shares;  ///< 0 .. 1 each
    double default_share = 0.5;                         ///< of keys without a priority
    double saturation_threshold = 0.8;                  ///< below it anybody may borrow; 0 .. 1
};

struct RouterConfig {
    std::vector<DeploymentConfig> model_list;
    std::string routing_strategy = "simple-shuffle";
    std::string master_key;  ///< general_settings.master_key; empty: no key is asked for
    std::string key_field;   ///< a header field that keys come in, before the usual ones; or empty
    std::string user_field;  ///< a header field that names the end user, before the body's `user`; or empty
    bool user_needed = false;       ///< general_settings.enforce_user_param: a request must name its end user
    bool usage_in_streams = false;  ///< all streams report their usage, asked for or not
    bool metrics_need_key = false;  ///< litellm_settings.require_auth_for_metrics_endpoint
    WeirSettings weir;

    Strategy strategy = Strategy::simple_shuffle;
    double latency_buffer = 0;
    shm::Nanos latency_memory = shm::kLatencyMemory;  ///< averages without a sample for so long are forgotten
    RetryRules retries;
    std::map<std::string, PerKind, std::less<>> group_retry_policy;
    FallbackRules fallbacks;
    CooldownRules cooldowns;
    std::map<std::string, GroupAlias, std::less<>> model_group_alias;
    std::optional<shm::Nanos> timeout;  ///< for an attempt in all, from connecting to the end of its answer
    std::optional<shm::Nanos> stream_timeout;  ///< for the first piece of a stream, and from piece to piece
    std::optional<std::uint64_t> default_max_parallel_requests;  ///< of deployments that give none
    std::optional<std::uint8_t> default_priority;
    TagRules tags;
    bool enable_pre_call_checks = false;  ///< limits are always checked; this adds max_input_tokens
    PrioritySettings priorities;
    bool key_limits_count_input_only = false;   ///< general_settings.token_rate_limit_type: input
    bool key_limits_count_output_only = false;  ///< output
    std::optional<std::uint64_t>
        global_max_parallel_requests;  ///< of all requests, over all processes
    bool json_logs = false;

    /// How many requests `deployment` may have in flight: its own limit, else the general one; empty:
    /// any number.
    std::optional<std::uint64_t> max_parallel_of(const DeploymentConfig& deployment) const noexcept {
        return deployment.max_parallel_requests ? deployment.max_parallel_requests
                                                : default_max_parallel_requests;
    }
};

/// A configuration, and what there is to say about it. Use the config only if `ok()`.
struct LoadedConfig {
    RouterConfig config;
    std::vector<Problem> problems;
    bool ok() const;
};

/// Looks a variable of the environment up; empty if it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// Reads `file`. Missing files and malformed YAML are problems like any other.
LoadedConfig load_config(const std::string& file);

/// The same from text; `os.environ/X` values come from the file's environment_variables, else from
/// `environment`, else (if there is none) from the process's.
LoadedConfig parse_config(const std::string& text, const Environment& environment = {});

/// "FILE:12: error: model_list[0].model_name: …", one line without its end.
std::string to_string(const Problem& problem, std::string_view file);

}  // namespace weir::router
