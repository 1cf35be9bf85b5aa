#include <catch2/catch.hpp>

#include <map>
#include <string>

#include "router/config.hpp"

using namespace weir::router;
using Place = RedisSettings::Kind;

namespace {

LoadedConfig load(const std::string& settings, const std::map<std::string, std::string>& variables = {}) {
    const std::string models = "model_list: [{model_name: a, litellm_params: {model: openai/a, rpm: 1}}]\n";
    return parse_config(models + settings,
                        [variables](const std::string& name) -> std::optional<std::string> {
                            const auto found = variables.find(name);
                            if (found == variables.end()) return std::nullopt;
                            return found->second;
                        });
}

RedisSettings redis(const std::string& settings, const std::map<std::string, std::string>& variables = {}) {
    const LoadedConfig loaded = load(settings, variables);
    for (const Problem& problem : loaded.problems) UNSCOPED_INFO(to_string(problem, "file"));
    REQUIRE(loaded.ok());
    return loaded.config.weir.redis;
}

}  // namespace

TEST_CASE("without a word about Redis there is none, whatever the environment says") {
    CHECK_FALSE(redis("", {{"REDIS_HOST", "r"}}).enabled());
}

TEST_CASE("LiteLLM's settings name one server") {
    const auto found = redis(
        "router_settings: {redis_host: os.environ/REDIS_HOST, redis_port: os.environ/REDIS_PORT, "
        "redis_password: secret, redis_db: 2, redis_ssl: true, redis_username: u}",
        {{"REDIS_HOST", "r"}, {"REDIS_PORT", "7000"}});
    CHECK(found.kind == Place::single);
    REQUIRE(found.nodes.size() == 1);
    CHECK(found.nodes[0].host == "r");
    CHECK(found.nodes[0].port == 7000);
    CHECK(found.username == "u");
    CHECK(found.password == "secret");
    CHECK(found.database == 2);
    CHECK(found.tls);
}

TEST_CASE("the environment fills in what a file that asks for Redis leaves out") {
    const std::map<std::string, std::string> variables = {
        {"REDIS_HOST", "r"}, {"REDIS_PORT", "7000"}, {"REDIS_PASSWORD", "secret"}, {"REDIS_USERNAME", "u"}};
    const auto found = redis("weir_settings: {redis: {}}", variables);
    CHECK(found.nodes.at(0).host == "r");
    CHECK(found.nodes.at(0).port == 7000);
    CHECK(found.password == "secret");
    CHECK(found.username == "u");
    const auto url =
        redis("weir_settings: {redis: {}}", {{"REDIS_URL", "redis://:p@h:1"}, {"REDIS_HOST", "r"}});
    CHECK(url.nodes.at(0).host == "h");
    CHECK_FALSE(load("weir_settings: {redis: {}}").ok());
}

TEST_CASE("a URL holds everything") {
    const auto found = redis("router_settings: {redis_url: 'rediss://us%40er:p%3Ass@[::1]:7000/3?x=y'}");
    CHECK(found.tls);
    CHECK(found.username == "us@er");
    CHECK(found.password == "p:ss");
    CHECK(found.nodes.at(0).host == "::1");
    CHECK(found.nodes.at(0).port == 7000);
    CHECK(found.database == 3);
    const auto plain = redis("weir_settings: {redis: {url: 'redis://h'}}");
    CHECK(plain.nodes.at(0).host == "h");
    CHECK(plain.nodes.at(0).port == 6379);
    for (const char* bad :
         {"http://h", "redis://", "redis://h:x", "redis://h:0", "redis://h/x", "redis://a%4:b@h"}) {
        const LoadedConfig loaded = load("weir_settings: {redis: {url: '" + std::string(bad) + "'}}");
        CAPTURE(bad);
        CHECK_FALSE(loaded.ok());
    }
}

TEST_CASE("a URL that is wrong is not repeated, for it may hold a password") {
    const LoadedConfig loaded = load("router_settings: {redis_url: 'redis//:secret@h'}");
    REQUIRE_FALSE(loaded.ok());
    for (const Problem& problem : loaded.problems) CHECK(problem.message.find("secret") == std::string::npos);
}

TEST_CASE("Sentinel and Cluster") {
    const auto sentinel = redis(
        "weir_settings: {redis: {sentinel_nodes: [[s1, 26380], {host: s2}], service_name: m, "
        "sentinel_password: p, lease_seconds: 3, wait_ms: 5, timeout_ms: 100, prefix: mine}}");
    CHECK(sentinel.kind == Place::sentinel);
    REQUIRE(sentinel.nodes.size() == 2);
    CHECK(sentinel.nodes[0].port == 26380);
    CHECK(sentinel.nodes[1].host == "s2");
    CHECK(sentinel.nodes[1].port == 26379);
    CHECK(sentinel.service_name == "m");
    CHECK(sentinel.sentinel_password == "p");
    CHECK(sentinel.lease == std::chrono::seconds(3));
    CHECK(sentinel.wait == std::chrono::milliseconds(5));
    CHECK(sentinel.timeout == std::chrono::milliseconds(100));
    CHECK(sentinel.prefix == "mine");
    const auto cluster = redis("weir_settings: {redis: {startup_nodes: [{host: a, port: 7001}, {host: b}]}}");
    CHECK(cluster.kind == Place::cluster);
    CHECK(cluster.nodes.at(1).port == 6379);
    CHECK_FALSE(load("weir_settings: {redis: {sentinel_nodes: [[s1, 1]]}}").ok());
    CHECK_FALSE(load("weir_settings: {redis: {startup_nodes: [x]}}").ok());
    CHECK_FALSE(load("weir_settings: {redis: {startup_nodes: [{host: a}], db: 1}}").ok());
    CHECK_FALSE(load("weir_settings: {redis: {host: a, prefix: 'a{b'}}").ok());
    CHECK_FALSE(load("weir_settings: {redis: {host: a, prefix: ''}}").ok());
}
