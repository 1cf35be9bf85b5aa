#include "proxy/config_check.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::proxy;
namespace router = weir::router;

namespace {

const std::string kConfig = R"(
model_list:
  - model_name: a
    litellm_params: {model: m, api_base: http://h, rpm: 1, tpm: 2, itpm: 3, otpm: 4, max_parallel_requests: 5}
    model_info: {id: first}
general_settings: {global_max_parallel_requests: 6, token_rate_limit_type: input}
weir_settings:
  window_seconds: 10
  keys:
    - {name: app, key: sk-secret, rpm_limit: 7, tpm_limit: 8, rpd_limit: 9, tpd_limit: 10,
       max_parallel_requests: 11, model_rpm_limit: {a: 12}, model_tpm_limit: {a: 13},
       end_user: {rpm_limit: 14}}
  users: [{name: ann, rpm_limit: 15}]
  teams: [{name: blue, rpm_limit: 16}]
  end_users: [{name: eve, rpm_limit: 17}]
  end_user_default: {rpm_limit: 18}
)";

}  // namespace

TEST_CASE("every limit of a configuration is listed, once") {
    const auto loaded = router::parse_config(kConfig);
    REQUIRE(loaded.ok());
    const auto limits = effective_limits(loaded.config);
    REQUIRE(limits.size() == 18);
    std::uint64_t sum = 0;
    for (const EffectiveLimit& limit : limits) sum += limit.limit;
    CHECK(sum == 18 * 19 / 2);
    const auto is = [&](std::uint64_t value, const char* scope, const char* name, const char* unit,
                        double seconds) {
        for (const EffectiveLimit& limit : limits) {
            if (limit.limit != value) continue;
            CHECK(limit.scope == scope);
            CHECK(limit.name == name);
            CHECK(limit.unit == unit);
            CHECK(std::chrono::duration<double>(limit.window).count() == seconds);
        }
    };
    is(1, "deployment", "first", "requests", 10);
    is(3, "deployment", "first", "input tokens", 10);
    is(5, "deployment", "first", "in flight", 0);
    is(6, "global", "requests", "in flight", 0);
    is(8, "api_key", "app", "input tokens", 10);
    is(9, "api_key", "app", "requests", 86400);
    is(12, "model_per_api_key", "app/a", "requests", 10);
    is(14, "end_user", "app/*", "requests", 10);
    is(16, "team", "blue", "requests", 10);
    is(18, "end_user", "*", "requests", 10);
}

TEST_CASE("a deployment without a limit of its own in flight is listed with the general one") {
    const auto loaded = router::parse_config(R"(
model_list:
  - model_name: a
    litellm_params: {model: m, api_base: http://h, max_parallel_requests: 5}
    model_info: {id: own}
  - {model_name: a, litellm_params: {model: m, api_base: http://h}, model_info: {id: none}}
router_settings: {default_max_parallel_requests: 3}
)");
    REQUIRE(loaded.ok());
    const auto limits = effective_limits(loaded.config);
    REQUIRE(limits.size() == 2);
    CHECK(limits[0].name == "own");
    CHECK(limits[0].limit == 5);
    CHECK(limits[1].name == "none");
    CHECK(limits[1].limit == 3);
    CHECK(limits[1].unit == "in flight");
}

TEST_CASE("as a table and as JSON, and without any key") {
    const auto loaded = router::parse_config(kConfig);
    const auto limits = effective_limits(loaded.config);
    const std::string table = limits_table(limits);
    CHECK(table.rfind("SCOPE", 0) == 0);
    CHECK(table.find("in 86400 s") != std::string::npos);
    CHECK(table.find("at any moment") != std::string::npos);
    const std::string text = limits_json(limits, router::parse_config("model_list: 5").problems);
    const auto json = nlohmann::json::parse(text);
    CHECK(json["limits"].size() == limits.size());
    CHECK(json["limits"][0]["window_seconds"] == 10);
    CHECK(json["problems"][0]["severity"] == "error");
    CHECK((table + text).find("sk-") == std::string::npos);
    CHECK(limits_table({}) == "no limits\n");
}
