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
    const std::string text = check_json(loaded);
    const auto json = nlohmann::json::parse(text);
    CHECK(json["limits"].size() == limits.size());
    CHECK(json["limits"][0]["window_seconds"] == 10);
    CHECK(json["redis"].is_null());
    const auto bad = nlohmann::json::parse(check_json(router::parse_config("model_list: 5")));
    CHECK(bad["problems"][0]["severity"] == "error");
    CHECK(bad["limits"].empty());
    CHECK((table + text).find("sk-") == std::string::npos);
    CHECK(limits_table({}) == "no limits\n");
}

namespace {

router::LoadedConfig with_redis(const std::string& settings) {
    auto loaded = router::parse_config(
        "model_list: [{model_name: a, litellm_params: {model: m, api_base: 'http://h', rpm: 2, tpm: 3}, "
        "model_info: {id: first}}]\ngeneral_settings: {global_max_parallel_requests: 1}\nweir_settings: {" +
        settings + "}\n");
    REQUIRE(loaded.ok());
    return loaded;
}

/// Whether `table` has a line that begins with `name` and ends with `value`.
bool has_row(const std::string& table, const std::string& name, const std::string& value) {
    UNSCOPED_INFO(table);
    std::string padded = name;
    padded.resize(16, ' ');
    return ("\n" + table).find("\n" + padded + value + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("the Redis is shown as it was understood, but for its passwords") {
    const auto loaded = with_redis(
        "fail_mode: closed, expected_hosts: 3, redis: {sentinel_nodes: [[s1, 1], ['::1', 2]], "
        "service_name: m, sentinel_password: hidden, username: bob, password: hidden, db: 4, ssl: true, "
        "ca_file: /ca.pem, prefix: mine, lease_seconds: 3, wait_ms: 5, timeout_ms: 100}");
    const std::string table = redis_table(loaded.config.weir);
    CHECK(has_row(table, "REDIS", "sentinel"));
    CHECK(has_row(table, "addresses", "s1:1, [::1]:2"));
    CHECK(has_row(table, "master", "m"));
    CHECK(has_row(table, "sentinels'", "a password of their own"));
    CHECK(has_row(table, "database", "4"));
    CHECK(has_row(table, "user", "bob, with a password"));
    CHECK(has_row(table, "TLS", "yes, with those of /ca.pem"));
    CHECK(has_row(table, "prefix", "mine"));
    CHECK(has_row(table, "lease", "3 s"));
    CHECK(has_row(table, "wait", "5 ms"));
    CHECK(has_row(table, "timeout", "100 ms"));
    CHECK(has_row(table, "fail mode", "closed"));
    CHECK(has_row(table, "expected hosts", "3"));
    const std::string text = check_json(loaded);
    const auto redis = nlohmann::json::parse(text)["redis"];
    CHECK(redis["kind"] == "sentinel");
    CHECK(redis["addresses"] == nlohmann::json::array({"s1:1", "[::1]:2"}));
    CHECK(redis["service_name"] == "m");
    CHECK(redis["username"] == "bob");
    CHECK(redis["password"] == true);
    CHECK(redis["sentinel_password"] == true);
    CHECK(redis["tls"] == true);
    CHECK(redis["ca_file"] == "/ca.pem");
    CHECK(redis["wait_ms"] == 5);
    CHECK(redis["fail_mode"] == "closed");
    CHECK(redis["expected_hosts"] == 3);
    CHECK((table + text).find("hidden") == std::string::npos);
}

TEST_CASE("a Redis that is plain, and none") {
    // A password that stands where the user does is not shown either.
    const auto loaded = with_redis("redis: {url: 'redis://hidden@h'}");
    const std::string table = redis_table(loaded.config.weir);
    CHECK(has_row(table, "REDIS", "single"));
    CHECK(has_row(table, "addresses", "h:6379"));
    CHECK(has_row(table, "user", "nobody, for there is no password"));
    CHECK(has_row(table, "TLS", "no"));
    CHECK((table + check_json(loaded)).find("hidden") == std::string::npos);
    CHECK(redis_table(router::WeirSettings()) == "no Redis: the limits are of this host alone\n");
}

TEST_CASE("limits that are smaller than the number of hosts are named") {
    const auto warnings = [](const std::string& settings) {
        auto loaded = with_redis(settings);
        const std::size_t before = loaded.problems.size();
        warn_of_empty_shares(loaded);
        std::string all;
        for (std::size_t i = before; i < loaded.problems.size(); ++i) all += loaded.problems[i].message;
        return all;
    };
    const std::string said = warnings("redis: {host: h}, expected_hosts: 3");
    CHECK(said.find("3 hosts") != std::string::npos);
    CHECK(said.find("deployment first (2 requests);") != std::string::npos);
    CHECK(warnings("redis: {host: h}, expected_hosts: 2").empty());
    CHECK(warnings("redis: {host: h}, expected_hosts: 3, fail_mode: open").empty());
    CHECK(warnings("redis: {host: h}, expected_hosts: 3, fail_mode: closed").empty());
    CHECK(warnings("expected_hosts: 3").empty());
    std::string keys;
    for (int i = 0; i < 10; ++i) {
        keys += "{name: k" + std::to_string(i) + ", key: sk-" + std::to_string(i) + ", rpm_limit: 1}, ";
    }
    CHECK(warnings("redis: {host: h}, expected_hosts: 2, keys: [" + keys + "]").find(" and 2 more;") !=
          std::string::npos);
}
