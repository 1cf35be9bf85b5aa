// Configurations as tired people might write them: every one is either usable, within the bounds that the
// program counts on, or there is an error that says where.
#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "mutator.hpp"
#include "router/config.hpp"

using namespace weir::router;
using weir::test::fuzz_rounds;
using weir::test::Mutator;

namespace {

std::string example() {
    std::ifstream in(WEIR_EXAMPLE);
    std::ostringstream text;
    text << in.rdbuf();
    REQUIRE(in.good());
    return text.str();
}

const std::string kFull = R"(model_list:
  - model_name: gpt
    litellm_params: &params
      {model: openai/gpt-4o, api_base: 'http://127.0.0.1:8080/v1', api_key: k, rpm: 10, tpm: 1000}
    model_info: {id: one}
  - model_name: gpt
    litellm_params: {<<: *params, max_parallel_requests: 3, weight: 2, order: 1, timeout: 5.5}
  - model_name: openai/*
    litellm_params: {model: openai/*, api_base: 'https://[::1]/v1', api_key: os.environ/KEY}
router_settings:
  routing_strategy: usage-based-routing-v2
  num_retries: 2
  allowed_fails: 3
  cooldown_time: 30
  fallbacks: [{gpt: [openai/x]}]
  model_group_alias: {fast: gpt}
  retry_policy: {RateLimitErrorRetries: 3}
litellm_settings: {request_timeout: 60, drop_params: true, priority_reservation: {prod: 0.7}}
general_settings: {master_key: sk-1, global_max_parallel_requests: 100}
environment_variables: {KEY: secret}
weir_settings:
  segment: fuzz
  window_seconds: 60
  keys:
    - {name: first, key: sk-2, rpm_limit: 10, models: [gpt], priority: prod, model_rpm_limit: {gpt: 6}}
  users: [{name: ann, tpm_limit: 5}]
  queue: {size: 10}
)";

const std::vector<std::string> kTokens = {
    ":",    "- ",  "\n",   "  ",     "{",     "}",      "[",     "]",       "'",    "\"",  "#",     "null",
    "~",    "-1",  "0",    "1e400",  ".nan",  "1.5",    "true",  "&a ",     "*a",   "<<: ", "? ",   "|\n",
    "---",  "...", "!!int", "\\x00", "\xff",  "[[[[",   "{a: {", "99999999999999999999",  "os.environ/NONE",
    "rpm: ", "model_list:", "weir_settings:", "keys:", "a: b: c", "%YAML 9.9\n", "fallbacks: ",
};

/// What everything behind a configuration takes for granted.
void check_usable(const RouterConfig& config) {
    CHECK_FALSE(config.model_list.empty());
    for (const DeploymentConfig& deployment : config.model_list) {
        CHECK_FALSE(deployment.model_name.empty());
        CHECK_FALSE(deployment.id.empty());
        if (deployment.rpm) CHECK((*deployment.rpm >= 1 && *deployment.rpm < std::uint64_t{1} << 39));
        if (deployment.tpm) CHECK((*deployment.tpm >= 1 && *deployment.tpm < std::uint64_t{1} << 39));
    }
    CHECK(config.weir.window >= std::chrono::milliseconds(10));
    CHECK(config.weir.window <= std::chrono::hours(24 * 366));
    CHECK_FALSE(config.weir.segment.empty());
    for (const KeyConfig& key : config.weir.keys) CHECK_FALSE(key.name.empty());
}

}  // namespace

TEST_CASE("a damaged configuration is usable or says what is wrong with it") {
    const Environment nothing = [](const std::string&) { return std::optional<std::string>(); };
    REQUIRE(parse_config(kFull, nothing).ok());
    Mutator mutator(4, {kFull, example()}, kTokens);
    int usable = 0;
    int refused = 0;
    for (int round = 0; round < fuzz_rounds(5'000); ++round) {
        const std::string text = mutator.next();
        INFO(text);
        const LoadedConfig loaded = parse_config(text, nothing);
        if (loaded.ok()) {
            ++usable;
            check_usable(loaded.config);
            continue;
        }
        ++refused;
        bool says = false;
        for (const Problem& problem : loaded.problems) {
            says = says || problem.severity == Problem::Severity::error;
            CHECK(problem.line >= 0);
            CHECK_FALSE(problem.message.empty());
            CHECK(to_string(problem, "f").find('\n') == std::string::npos);
        }
        CHECK(says);
    }
    CHECK(usable > 100);
    CHECK(refused > 100);
}
