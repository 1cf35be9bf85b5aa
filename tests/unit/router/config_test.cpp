#include "router/config.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>

#include "config_text.hpp"

using namespace weir::router;
using namespace weir::router::test;
using namespace std::chrono_literals;

TEST_CASE("the configuration of LiteLLM's published load test") {
    const auto config = good(R"(
model_list:
  - model_name: fake-openai-endpoint
    litellm_params:
      model: gpt-3.5-turbo
      api_key: my-fake-key
      api_base: http://0.0.0.0:8080
      rpm: 100
  - model_name: fake-openai-endpoint
    litellm_params:
      model: openai/gpt-3.5-turbo
      api_key: my-fake-key
      api_base: http://0.0.0.0:8081/
      rpm: 100
router_settings:
  routing_strategy: simple-shuffle
  enable_pre_call_checks: true
  num_retries: 0
general_settings:
  master_key: sk-1234
)");
    REQUIRE(config.model_list.size() == 2);
    const auto& second = config.model_list[1];
    CHECK(second.model_name == "fake-openai-endpoint");
    CHECK(second.provider == "openai");
    CHECK(second.model == "gpt-3.5-turbo");
    CHECK(second.api_key == "my-fake-key");
    CHECK(second.api_base == "http://0.0.0.0:8081");
    CHECK(second.rpm == 100u);
    CHECK_FALSE(second.tpm.has_value());
    CHECK(config.model_list[0].id != second.id);
    CHECK(config.strategy == Strategy::simple_shuffle);
    CHECK(config.retries.num_retries == 0);
    CHECK(config.enable_pre_call_checks);
    CHECK(config.master_key == "sk-1234");
}

TEST_CASE("defaults are LiteLLM's") {
    const auto config = good(kMinimal);
    CHECK(config.retries.num_retries == 2);
    CHECK(config.fallbacks.max_fallbacks == 5);
    CHECK(config.cooldowns.cooldown_time == 5s);
    CHECK(config.latency_memory == 1h);
    CHECK_FALSE(config.cooldowns.allowed_fails.has_value());
    CHECK(config.strategy == Strategy::simple_shuffle);
    CHECK(config.weir.window == 60s);
    CHECK(config.weir.queue.max_wait == 0s);
    CHECK(config.weir.fail_mode == FailMode::share);
    CHECK(config.model_list[0].order == kLastOrder);
    CHECK(config.model_list[0].cost() == kUnknownCost);
    CHECK(config.master_key.empty());
}

TEST_CASE("everything that a deployment may have") {
    const auto d = good(R"(
model_list:
  - model_name: g
    litellm_params:
      {model: openai/m, api_base: "https://h/v1", api_key: k, organization: org, itpm: 10,
       otpm: 20, weight: 9, order: 1,
       max_parallel_requests: 7, timeout: 30, stream_timeout: 2.5, max_retries: 3, cooldown_time: 60,
       input_cost_per_token: 0.000001, output_cost_per_token: 0.000002, weir_cost: max,
        extra_headers: {x-a: b}}
    model_info: {id: mine, mode: chat, base_model: gpt-4o, max_input_tokens: 128000, note: {anything: [1]}}
)")
                       .model_list[0];
    CHECK(d.id == "mine");
    CHECK(d.organization == "org");
    CHECK(d.itpm == 10u);
    CHECK(d.otpm == 20u);
    CHECK(d.weight == 9.0);
    CHECK(d.order == 1);
    CHECK(d.max_parallel_requests == 7u);
    CHECK(d.timeout == 30s);
    CHECK(d.stream_timeout == 2500ms);
    CHECK(d.num_retries == 3u);
    CHECK(d.cooldown_time == 60s);
    CHECK(d.cost() == Approx(0.000003));
    CHECK(d.cost_policy == CostPolicy::max);
    CHECK(d.extra_headers == std::vector<std::pair<std::string, std::string>>{{"x-a", "b"}});
    CHECK(d.mode == "chat");
    CHECK(d.base_model == "gpt-4o");
    CHECK(d.max_input_tokens == 128'000u);
}

TEST_CASE("a limit is found at three places, the outermost first") {
    const auto rpm = [](const std::string& outer, const std::string& params,
                        const std::string& info) {
        return good(
                   "model_list:\n  - {model_name: g, litellm_params: {model: m, api_base: "
                   "http://h" +
                   params + "}, " + "model_info: {id: x" + info + "}" + outer + "}\n")
            .model_list[0]
            .rpm;
    };
    CHECK(rpm("", "", "") == std::nullopt);
    CHECK(rpm("", "", ", rpm: 3") == 3u);
    CHECK(rpm("", ", rpm: 2", ", rpm: 3") == 2u);
    CHECK(rpm(", rpm: 1", ", rpm: 2", ", rpm: 3") == 1u);
    CHECK(rpm(", rpm: null", ", rpm: 2", "") == 2u);
}

TEST_CASE("ids come from what a deployment is, not from its limits") {
    const auto id = [](const std::string& rest) {
        return good("model_list: [{model_name: g, litellm_params: {model: m, api_base: http://h" +
                    rest + "}}]")
            .model_list[0]
            .id;
    };
    CHECK(id("") == id(", rpm: 5, weight: 3, api_key: x"));
    CHECK(id("") != id("2"));
    const auto twins = good(
        "model_list: [{model_name: g, litellm_params: {model: m, api_base: http://h}},"
        " {model_name: g, litellm_params: {model: m, api_base: http://h}}]");
    CHECK(twins.model_list[0].id != twins.model_list[1].id);
    CHECK(errors("model_list: [{model_name: g, litellm_params: {model: m, api_base: http://h}, "
                 "model_info: {id: a}},"
                 " {model_name: g, litellm_params: {model: m, api_base: http://h}, model_info: "
                 "{id: a}}]") == Lines{"model_list[1]: model_info.id \"a\" is used twice"});
}

TEST_CASE("router_settings") {
    const auto config = good(kMinimal + R"(
  - {model_name: b, litellm_params: {model: m, api_base: http://h}}
router_settings:
  routing_strategy: latency-based-routing
  routing_strategy_args: {lowest_latency_buffer: 0.5, ttl: 10}
  num_retries: 4
  retry_after: 2
  max_fallbacks: 3
  timeout: 20
  stream_timeout: 4
  default_max_parallel_requests: 9
  default_priority: 200
  enable_tag_filtering: true
  tag_filtering_match_any: false
  fallbacks: [{"a": ["b"]}, {"b": "a"}]
  default_fallbacks: ["b"]
  context_window_fallbacks: [{"a": ["b"]}]
  content_policy_fallbacks: {"b": ["a"]}
  model_group_alias: {"x": "a", "y": {"model": "b", "hidden": true}}
  retry_policy: {RateLimitErrorRetries: 5, InternalServerErrorRetries: 0}
  model_group_retry_policy: {a: {TimeoutErrorRetries: 1}}
  allowed_fails: 10
  allowed_fails_policy: {AuthenticationErrorAllowedFails: 0}
  cooldown_time: 12.5
  disable_cooldowns: true
  optional_pre_call_checks: [enforce_model_rate_limits]
)");
    CHECK(config.strategy == Strategy::latency_based);
    CHECK(config.latency_buffer == 0.5);
    CHECK(config.latency_memory == 10s);
    CHECK(config.retries.num_retries == 4);
    CHECK(config.retries.least_wait == 2s);
    CHECK(config.retries.policy.rate_limit == 5u);
    CHECK(config.retries.policy.server_error == 0u);
    CHECK_FALSE(config.retries.policy.timeout.has_value());
    CHECK(config.group_retry_policy.at("a").timeout == 1u);
    CHECK(config.fallbacks.max_fallbacks == 3);
    CHECK(config.fallbacks.fallbacks.at("b") == Lines{"a"});
    CHECK(config.fallbacks.fallbacks.at("*") == Lines{"b"});
    CHECK(config.fallbacks.context_window.at("a") == Lines{"b"});
    CHECK(config.fallbacks.content_policy.at("b") == Lines{"a"});
    CHECK(config.timeout == 20s);
    CHECK(config.stream_timeout == 4s);
    CHECK(config.default_max_parallel_requests == 9u);
    CHECK(config.default_priority == 200);
    CHECK(config.tags.enabled);
    CHECK_FALSE(config.tags.match_any);
    CHECK(config.model_group_alias.at("x").group == "a");
    CHECK(config.model_group_alias.at("y").hidden);
    CHECK(config.cooldowns.allowed_fails == 10u);
    CHECK(config.cooldowns.allowed_fails_policy.auth == 0u);
    CHECK(config.cooldowns.cooldown_time == 12500ms);
    CHECK(config.cooldowns.disabled);
}

TEST_CASE("litellm_settings, which router_settings override") {
    const auto config = good(kMinimal + R"(
litellm_settings:
  request_timeout: 600
  num_retries: 7
  default_fallbacks: ["a"]
  callbacks: ["prometheus", "dynamic_rate_limiter_v3"]
  priority_reservation: {prod: 0.9, dev: 0.1}
  priority_reservation_settings: {default_priority: 0.2, saturation_threshold: 0.6}
  json_logs: true
  allowed_fails: 3
router_settings: {num_retries: 1}
)");
    CHECK(config.timeout == 600s);
    CHECK(config.retries.num_retries == 1);
    CHECK(config.fallbacks.fallbacks.at("*") == Lines{"a"});
    CHECK(config.priorities.shares.at("prod") == 0.9);
    CHECK(config.priorities.default_share == 0.2);
    CHECK(config.priorities.saturation_threshold == 0.6);
    CHECK(config.json_logs);
    CHECK_FALSE(config.cooldowns.allowed_fails.has_value());  // 3 is LiteLLM's "not set"
    CHECK(errors(kMinimal + "litellm_settings: {priority_reservation: {a: 0.7, b: 0.7}}").size() ==
          1);
}

TEST_CASE("general_settings and weir_settings") {
    const auto config = good(kMinimal + R"(
general_settings: {master_key: sk-x, max_request_size_mb: 2, token_rate_limit_type: output,
                   global_max_parallel_requests: 50}
weir_settings:
  segment: mine
  segment_size: 2097152
  window_seconds: 0.5
  upstream_timeout_seconds: 30
  queue: {max_wait_seconds: 15, max_depth: 100}
  upstream: {max_connections: 5, connect_timeout_seconds: 1, idle_timeout_seconds: 2,
             dns_ttl_seconds: 3, ca_file: /x}
  clients: {max_connections: 7, max_head_bytes: 2048, idle_timeout_seconds: 1, head_timeout_seconds: 2,
            body_timeout_seconds: 3, write_timeout_seconds: 4, half_closed_timeout_seconds: 5}
  redis: {host: h}
  fail_mode: closed
  expected_hosts: 3
  drain_seconds: 5
  cost_policy: input
)");
    CHECK(config.weir.max_body_bytes == 2u << 20);
    CHECK(config.key_limits_count_output_only);
    CHECK(config.global_max_parallel_requests == 50u);
    CHECK(config.weir.segment == "mine");
    CHECK(config.weir.segment_size == 2u << 20);
    CHECK(config.weir.window == 500ms);
    CHECK(config.weir.upstream_timeout == 30s);
    CHECK(config.weir.queue.max_wait == 15s);
    CHECK(config.weir.queue.max_depth == 100);
    CHECK(config.weir.upstream.max_per_upstream == 5);
    CHECK(config.weir.upstream.ca_file == "/x");
    CHECK(config.weir.clients.max_connections == 7);
    CHECK(config.weir.clients.max_head_bytes == 2048);
    CHECK(config.weir.clients.idle_timeout == 1s);
    CHECK(config.weir.clients.head_timeout == 2s);
    CHECK(config.weir.clients.body_timeout == 3s);
    CHECK(config.weir.clients.write_timeout == 4s);
    CHECK(config.weir.clients.half_closed_timeout == 5s);
    CHECK(config.weir.fail_mode == FailMode::closed);
    CHECK(config.weir.expected_hosts == 3);
    CHECK(config.weir.drain == 5s);
    CHECK(config.model_list[0].cost_policy == CostPolicy::input);
}

TEST_CASE("the environment replaces whole values, the file's own variables first") {
    const auto text = R"(
environment_variables: {KEY: from-file, BASE: os.environ/OUTER}
model_list:
  - model_name: os.environ/NAME
    litellm_params: {model: m, api_key: os.environ/KEY, api_base: os.environ/BASE, rpm: os.environ/RPM}
)";
    const std::map<std::string, std::string> variables = {
        {"NAME", "n"}, {"KEY", "outer"}, {"OUTER", "http://o"}, {"RPM", "17"}};
    const auto lookup = [&](const std::string& name) {
        const auto at = variables.find(name);
        return at == variables.end() ? std::nullopt : std::optional(at->second);
    };
    const auto loaded = parse_config(text, lookup);
    REQUIRE(loaded.ok());
    const auto& d = loaded.config.model_list[0];
    CHECK(d.model_name == "n");
    CHECK(d.api_key == "from-file");
    CHECK(d.api_base == "http://o");
    CHECK(d.rpm == 17u);
    CHECK(errors("model_list: [{model_name: a, litellm_params: {model: m, api_base: "
                 "os.environ/NONE}}]") ==
          Lines{"model_list[0].litellm_params.api_base: the environment variable NONE is not set"});
    CHECK(good("model_list: [{model_name: a, litellm_params: {model: m, api_base: http://h, "
               "api_key: x-os.environ/Y}}]")
              .model_list[0]
              .api_key == "x-os.environ/Y");
}

TEST_CASE("YAML's own means of sharing work") {
    const auto config = good(R"(
model_list:
  - model_name: a
    litellm_params: &base {model: m, api_base: http://h, rpm: 5}
  - model_name: b
    litellm_params: {<<: *base, rpm: 6}
  - model_name: c
    litellm_params: {<<: [{tpm: 9}, *base]}
)");
    CHECK(config.model_list[1].model == "m");
    CHECK(config.model_list[1].rpm == 6u);
    CHECK(config.model_list[2].rpm == 5u);
    CHECK(config.model_list[2].tpm == 9u);
}

TEST_CASE("default_litellm_params stand in for what a deployment does not say") {
    const auto config = good(kMinimal + R"(
  - {model_name: b, litellm_params: {model: m2, rpm: 3, api_base: http://own}}
  - {model_name: c, litellm_params: {model: m3}}
router_settings: {default_litellm_params: {api_base: "http://default", rpm: 8}}
)");
    CHECK(config.model_list[1].rpm == 3u);
    CHECK(config.model_list[1].api_base == "http://own");
    CHECK(config.model_list[2].rpm == 8u);
    CHECK(config.model_list[2].api_base == "http://default");
}

TEST_CASE("all problems are told in one run, each with its place") {
    const auto loaded = parse_config(R"(
model_list:
  - model_name: a
    litellm_params: {model: m, api_base: "ftp://h", rpm: many}
  - litellm_params: {model: m, api_base: "http://h", tpm: 0}
  - model_name: c
router_settings: {routing_strategy: fastest, num_retries: [1], enable_pre_call_checks: perhaps}
general_settings: []
weir_settings: {window_seconds: -1, fail_mode: sometimes, expected_hosts: 1, redis: {host: h}}
)");
    CHECK_FALSE(loaded.ok());
    Lines paths;
    for (const auto& problem : loaded.problems) {
        CHECK(problem.line > 0);
        paths.push_back(problem.path);
    }
    std::sort(paths.begin(), paths.end());
    CHECK(paths == Lines{"general_settings", "model_list[0].litellm_params.api_base",
                         "model_list[0].litellm_params.rpm", "model_list[1]",
                         "model_list[1].litellm_params.tpm", "model_list[2]",
                         "router_settings.enable_pre_call_checks", "router_settings.num_retries",
                         "router_settings.routing_strategy", "weir_settings.fail_mode",
                         "weir_settings.window_seconds"});
    const auto rpm =
        std::find_if(loaded.problems.begin(), loaded.problems.end(),
                     [](const Problem& p) { return p.path == "model_list[0].litellm_params.rpm"; });
    CHECK(to_string(*rpm, "f.yaml") ==
          "f.yaml:4: error: model_list[0].litellm_params.rpm: expected a whole number from 1 to "
          "549755813887, found "
          "\"many\"");
}

TEST_CASE("what has no effect is a warning that says why") {
    const auto loaded = parse_config(kMinimal + R"(
    surprise: 1
router_settings: {polling_interval: 1, cache_responses: true, routing: x}
litellm_settings: {drop_params: true, success_callback: [langfuse]}
general_settings: {database_url: "postgresql://x", master_key: abc}
mystery: {}
)");
    CHECK(loaded.ok());
    const auto all = lines(loaded, Problem::Severity::warning);
    const auto has = [&](const std::string& start) {
        return std::any_of(all.begin(), all.end(),
                           [&](const auto& line) { return line.rfind(start, 0) == 0; });
    };
    CHECK(all.size() == 9);
    CHECK(has("model_list[0].surprise: unknown"));
    CHECK(has(
        "router_settings.polling_interval: not supported, it has no effect: waiting requests are woken"));
    CHECK(has("router_settings.cache_responses: not supported"));
    CHECK(has("router_settings.routing: unknown"));
    CHECK(has("litellm_settings.drop_params: not supported"));
    CHECK(has("litellm_settings.success_callback: langfuse is not supported"));
    CHECK(has("general_settings.database_url: not supported"));
    CHECK(has("general_settings.master_key: does not start with sk-"));
    CHECK(has("mystery: unknown"));
    for (const auto& line : all) CHECK(line.find("abc") == std::string::npos);
}

TEST_CASE("an unknown setting is a warning with what may be meant") {
    CHECK(warnings(kMinimal + R"(
general_settings: {master_key: sk-a, routing_strategy: least-busy, max_request_size_md: 1}
router_settings: {num_retry: 1}
weir_settings: {keys: [{name: k, key: sk-b, rpm: 1}]}
)") == Lines{"general_settings.routing_strategy: unknown; it has no effect; it belongs in router_settings",
             "general_settings.max_request_size_md: unknown; it has no effect; max_request_size_mb may be "
             "meant",
             "router_settings.num_retry: unknown; it has no effect; num_retries may be meant",
             "weir_settings.keys[0].rpm: unknown; it has no effect; rpm_limit may be meant"});
}

TEST_CASE("the master key may come from the environment, as in LiteLLM, and the file's goes first") {
    const Environment environment = [](const std::string& name) -> std::optional<std::string> {
        if (name == "LITELLM_MASTER_KEY") return "sk-outside";
        return std::nullopt;
    };
    const auto key = [&](const std::string& general) {
        return parse_config(kMinimal + general, environment).config.master_key;
    };
    CHECK(key("") == "sk-outside");
    CHECK(key("general_settings: {max_request_size_mb: 1}\n") == "sk-outside");
    CHECK(key("general_settings: {master_key: sk-own}\n") == "sk-own");
    CHECK(parse_config(kMinimal, [](const std::string&) { return std::nullopt; }).config.master_key.empty());
}

TEST_CASE("models of owners that are not in the list are a warning, patterns and LiteLLM's words are not") {
    CHECK(warnings(kMinimal + R"(
weir_settings:
  keys: [{name: k, key: sk-b, models: ["b/*", all-team-models]}]
  teams: [{name: t, models: [a, nope, "x*"]}]
)") == Lines{"weir_settings.teams[0].models: \"nope\" is not in the model_list"});
}

TEST_CASE("a key that is there twice is an error, for one of them would be lost") {
    CHECK(errors("model_list: [{model_name: a, litellm_params: {model: m, api_base: http://h, rpm: "
                 "1, rpm: 2}}]") == Lines{"model_list[0].litellm_params.rpm: is there twice"});
}

TEST_CASE("names that lead nowhere") {
    CHECK(errors(kMinimal + "router_settings: {fallbacks: [{a: [nowhere]}]}") ==
          Lines{"router_settings.fallbacks: \"nowhere\" is not in the model_list"});
    CHECK(errors(kMinimal + "litellm_settings: {default_fallbacks: [nowhere]}") ==
          Lines{"litellm_settings.default_fallbacks: \"nowhere\" is not in the model_list"});
    CHECK(errors(kMinimal + "router_settings: {model_group_alias: {x: nowhere, y: x}}").size() ==
          2);
    CHECK(
        errors(
            "model_list: [{model_name: 'x/*', litellm_params: {model: '*', api_base: http://h}}]\n"
            "router_settings: {fallbacks: [{x/1: [x/2]}]}")
            .empty());
}

TEST_CASE("files that are none, and text that is no configuration") {
    CHECK_FALSE(load_config("/nonexistent/config.yaml").ok());
    for (const auto* text :
         {"", "42", "[]", "a: [", "model_list:", "model_list: []", "model_list: {}", "{}",
          ": :", "model_list: [1, null, [], {}]", "&a [*a]", "model_list: &a [{model_name: *a}]",
          "model_list: [{litellm_params: &x {<<: *x}}]"}) {
        CHECK_FALSE(parse_config(text).ok());
    }
}

TEST_CASE("damaged configurations are survived") {
    const std::string text = kMinimal + R"(
router_settings: {fallbacks: [{"a": ["a"]}], retry_policy: {RateLimitErrorRetries: 5}, num_retries: 3}
weir_settings: {keys: [{name: k, key: sk-1, rpm_limit: 5, models: [a]}], queue: {max_wait_seconds: 15}}
)";
    std::mt19937_64 random(1);
    std::size_t refused = 0;
    for (int round = 0; round < 3'000; ++round) {
        std::string damaged = text;
        for (auto changes = 1 + random() % 4; changes > 0; --changes) {
            constexpr std::string_view likely = "{}[]:,-&*!|>'\"#% \n\tx0<";
            damaged[random() % damaged.size()] = likely[random() % likely.size()];
        }
        if (!parse_config(damaged).ok()) ++refused;
    }
    CHECK(refused > 1'000);
}
