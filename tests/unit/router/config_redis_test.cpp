#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

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

/// What is said of `settings`, as "path: message".
std::vector<std::string> said(const std::string& settings,
                              const std::map<std::string, std::string>& variables = {}) {
    std::vector<std::string> all;
    for (const Problem& problem : load(settings, variables).problems) {
        all.push_back(problem.path + ": " + problem.message);
    }
    return all;
}

bool has(const std::vector<std::string>& all, const std::string& path, const std::string& part) {
    for (const std::string& one : all) UNSCOPED_INFO(one);
    return std::any_of(all.begin(), all.end(), [&](const std::string& one) {
        return one.starts_with(path + ": ") && one.find(part) != std::string::npos;
    });
}

/// A server of `redis` as host:port.
std::string server(const RedisSettings& redis, std::size_t index = 0) {
    return redis.nodes.at(index).host + ":" + std::to_string(redis.nodes.at(index).port);
}

using Variables = std::map<std::string, std::string>;

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

TEST_CASE("file and environment are merged key by key, the file first") {
    const Variables port = {{"REDIS_PORT", "7000"}};
    CHECK(server(redis("router_settings: {redis_host: r}", port)) == "r:7000");
    const Variables host = {{"REDIS_HOST", "r"}};
    CHECK(server(redis("weir_settings: {redis: {port: 7001}}", host)) == "r:7001");
    const auto secured = redis("router_settings: {redis_host: r}", {{"REDIS_SSL", "true"},
                                                                    {"REDIS_SSL_CA_CERTS", "/ca.pem"},
                                                                    {"REDIS_DB", "4"},
                                                                    {"REDIS_PASSWORD", "p"}});
    CHECK(secured.tls);
    CHECK(secured.ca_file == "/ca.pem");
    CHECK(secured.database == 4);
    CHECK(secured.password == "p");
    const auto file = redis("weir_settings: {redis: {password: mine, db: 2, ssl: false}}",
                            {{"REDIS_URL", "rediss://u:theirs@h:7000/5"}, {"REDIS_PASSWORD", "other"}});
    CHECK(server(file) == "h:7000");
    CHECK(file.username == "u");
    CHECK(file.password == "mine");
    CHECK(file.database == 2);
    CHECK_FALSE(file.tls);
    const auto both = redis("router_settings: {redis_host: theirs, redis_port: 7000, redis_db: 1}\n"
                            "weir_settings: {redis: {host: own}}");
    CHECK(server(both) == "own:7000");
    CHECK(both.database == 1);
    const auto nothing = redis("weir_settings: {redis: {host: h, password: ''}}", {{"REDIS_PASSWORD", "p"}});
    CHECK(nothing.password.empty());
}

TEST_CASE("any redis_ of the router asks for a Redis, and says so if there is none") {
    const std::string lone = "router_settings: {redis_port: 7000, redis_password: p}";
    const auto found = redis(lone, {{"REDIS_HOST", "r"}});
    CHECK(server(found) == "r:7000");
    CHECK(found.password == "p");
    CHECK_FALSE(redis(lone).enabled());
    CHECK(has(said(lone), "router_settings.redis_port", "no Redis is named"));
}

TEST_CASE("a URL speaks of its own server only") {
    const Variables variables = {{"REDIS_URL", "redis://:theirs@other:7000/3"}};
    const std::string named = "router_settings: {redis_host: r}";
    const auto found = redis(named, variables);
    CHECK(server(found) == "r:6379");
    CHECK(found.password.empty());
    CHECK(found.database == 0);
    CHECK(has(said(named, variables), "the variable REDIS_URL", "router_settings.redis_host goes before it"));
    const std::string same = "router_settings: {redis_host: other}";
    const auto filled = redis(same, variables);
    CHECK(server(filled) == "other:7000");
    CHECK(filled.password == "theirs");
    CHECK_FALSE(has(said(same, variables), "the variable REDIS_URL", ""));
    // The same variable twice is not a second opinion.
    CHECK_FALSE(has(said("router_settings: {redis_url: os.environ/REDIS_URL}", variables),
                    "the variable REDIS_URL", ""));
}

TEST_CASE("what is not needed of the environment may be nonsense") {
    const Variables variables = {{"REDIS_URL", "unix:///run/redis"},  {"REDIS_CLUSTER_NODES", "a:1,b:2"},
                                 {"REDIS_SENTINEL_NODES", "a:1,b:2"}, {"REDIS_HOST", "a:1"},
                                 {"REDIS_PORT", "tcp://10.0.0.1:1"},  {"REDIS_DB", "main"},
                                 {"REDIS_SSL", "perhaps"}};
    CHECK(server(redis("weir_settings: {redis: {host: h, port: 7000, db: 0, ssl: false}}", variables)) ==
          "h:7000");
    CHECK_FALSE(load("weir_settings: {redis: {host: h}}", variables).ok());
    CHECK_FALSE(load("weir_settings: {redis: {}}", variables).ok());
    // As in a pod beside a service named redis.
    const Variables pod = {{"REDIS_PORT", "tcp://10.0.0.1:6379"}};
    CHECK(server(redis("router_settings: {redis_host: redis}", pod)) == "redis:6379");
    CHECK(has(said("router_settings: {redis_host: redis}", pod), "the variable REDIS_PORT", "Kubernetes"));
}

TEST_CASE("what contradicts the URL beside it is told") {
    const std::string settings =
        "router_settings: {redis_url: 'rediss://:p@h:1', redis_host: r, redis_port: 2, redis_db: 3, "
        "redis_ssl: false}";
    const auto found = redis(settings);
    CHECK(server(found) == "h:1");
    CHECK(found.tls);
    CHECK(found.database == 3);
    for (const char* name : {"host", "port", "ssl"}) {
        CHECK(has(said(settings), std::string("router_settings.redis_") + name, "has no effect"));
    }
    CHECK_FALSE(has(said(settings), "router_settings.redis_db", ""));
}

TEST_CASE("a host is a name or an address, and what else it is has a place of its own") {
    const auto own = [](const std::string& host) {
        return said("weir_settings: {redis: {host: '" + host + "'}}");
    };
    CHECK(has(own("127.0.0.1:6380"), "weir_settings.redis.host", "which is to be given as port"));
    CHECK(has(own("redis://:secret@h"), "weir_settings.redis.host", "is a URL, which is to be given as url"));
    CHECK(has(own(""), "weir_settings.redis.host", "is empty"));
    CHECK(has(own("[::1]"), "weir_settings.redis.host", "no brackets"));
    CHECK(has(own("secret@h"), "weir_settings.redis.host", "neither a name nor an address"));
    for (const char* bad : {"redis://:secret@h", "secret@h"}) {
        for (const std::string& one : own(bad)) CHECK(one.find("secret") == std::string::npos);
    }
    CHECK(server(redis("weir_settings: {redis: {host: '::1'}}")) == "::1:6379");
    CHECK(has(said("router_settings: {redis_host: 'h:1'}"), "router_settings.redis_host", "as redis_port"));
    CHECK(has(said("weir_settings: {redis: {}}", {{"REDIS_HOST", "redis://h"}}), "the variable REDIS_HOST",
              "as REDIS_URL"));
    CHECK(has(said("weir_settings: {redis: {}}", {{"REDIS_HOST", "h"}, {"REDIS_PORT", "x"}}),
              "the variable REDIS_PORT", "expected a whole number"));
    // One mistake, one complaint.
    CHECK(own("h:1").size() == 1);
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
    CHECK_FALSE(load("weir_settings: {redis: {url: 'http://h'}}").ok());
}

TEST_CASE("what a URL says in vain is told by its name") {
    const auto all = said(
        "weir_settings: {redis: {url: 'rediss://h?db=3&ssl_cert_reqs=none&socket_timeout=5&protocol=3'}}");
    CHECK(has(all, "weir_settings.redis.url", "certificates are always verified"));
    CHECK(has(all, "weir_settings.redis.url", "\"socket_timeout\" in it has no effect"));
    CHECK(has(all, "weir_settings.redis.url", "\"protocol\" in it has no effect"));
    CHECK_FALSE(has(all, "weir_settings.redis.url", "\"db\""));
    const auto user = said("weir_settings: {redis: {url: 'redis://secret@h'}}");
    CHECK(has(user, "weir_settings.redis.url", "names a user and no password"));
    for (const std::string& one : user) CHECK(one.find("secret") == std::string::npos);
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

TEST_CASE("nodes as JSON, in the file and in LiteLLM's variables") {
    const std::string nodes = R"([{"host": "a", "port": "7001"}, {"host": "b", "port": 7002}])";
    const auto cluster = redis("weir_settings: {redis: {}}", {{"REDIS_CLUSTER_NODES", nodes}});
    CHECK(cluster.kind == Place::cluster);
    CHECK(server(cluster, 0) == "a:7001");
    CHECK(server(cluster, 1) == "b:7002");
    const Variables own = {{"NODES", nodes}};
    CHECK(redis("weir_settings: {redis: {startup_nodes: os.environ/NODES}}", own).nodes == cluster.nodes);
    CHECK(redis("weir_settings: {redis: {startup_nodes: '" + nodes + "'}}").nodes == cluster.nodes);
    const Variables watched = {{"REDIS_SENTINEL_NODES", R"([["s1", 26380], ["s2", 26379]])"},
                               {"REDIS_SERVICE_NAME", "m"},
                               {"REDIS_SENTINEL_PASSWORD", "sp"}};
    const auto sentinel = redis("router_settings: {redis_password: p}", watched);
    CHECK(sentinel.kind == Place::sentinel);
    CHECK(server(sentinel, 0) == "s1:26380");
    CHECK(sentinel.service_name == "m");
    CHECK(sentinel.sentinel_password == "sp");
    CHECK(sentinel.password == "p");
    for (const char* bad :
         {"[", "redis://:secret@h", "[]", "5", "[secret]", R"([{"port": 1}])", R"([["h:1", 2]])"}) {
        const auto all = said("weir_settings: {redis: {}}", {{"REDIS_CLUSTER_NODES", bad}});
        CAPTURE(bad);
        REQUIRE(all.size() == 1);
        CHECK(all[0].starts_with("the variable REDIS_CLUSTER_NODES"));
        CHECK(all[0].find("secret") == std::string::npos);
    }
}

TEST_CASE("of several servers the first counts, and the others are told") {
    const Variables variables = {{"REDIS_CLUSTER_NODES", R"([{"host": "a"}])"}};
    const std::string named = "router_settings: {redis_host: r}";
    CHECK(redis(named, variables).kind == Place::single);
    CHECK(has(said(named, variables), "the variable REDIS_CLUSTER_NODES", "is another Redis"));
    const std::string again = "weir_settings: {redis: {startup_nodes: os.environ/REDIS_CLUSTER_NODES}}";
    CHECK_FALSE(has(said(again, variables), "the variable REDIS_CLUSTER_NODES", ""));
    const std::string two =
        "weir_settings: {redis: {startup_nodes: [[a, 1]], sentinel_nodes: [[b, 2]], host: c}}";
    CHECK(redis(two).kind == Place::cluster);
    CHECK(has(said(two), "weir_settings.redis.sentinel_nodes", "has no effect"));
    CHECK(has(said(two), "weir_settings.redis.host", "has no effect"));
}

TEST_CASE("cache_kwargs say more of the router's Redis, as in LiteLLM") {
    const std::string settings =
        "router_settings: {redis_host: h, redis_port: 7000, cache_kwargs: "
        "{startup_nodes: [{host: a, port: 1}], username: u, ssl: true, ssl_ca_certs: /ca.pem, "
        "ssl_cert_reqs: none, max_connections: 5}}";
    const auto found = redis(settings);
    CHECK(found.kind == Place::cluster);
    CHECK(server(found) == "a:1");
    CHECK(found.username == "u");
    CHECK(found.tls);
    CHECK(found.ca_file == "/ca.pem");
    CHECK(has(said(settings), "router_settings.cache_kwargs.ssl_cert_reqs", "always verified"));
    CHECK(has(said(settings), "router_settings.cache_kwargs.max_connections", "client of Redis"));
    const auto unknown = said("router_settings: {redis_startup_nodes: [[a, 1]]}");
    CHECK(has(unknown, "router_settings.redis_startup_nodes", "give it without redis_ in cache_kwargs"));
}

TEST_CASE("a Redis of LiteLLM's cache joins no hosts, which is told where there is no other") {
    const std::string cache = "litellm_settings: {cache: true, cache_params: {type: redis, host: h}}";
    const auto told = [](const std::string& settings) {
        return has(said(settings), "litellm_settings.cache_params", "hosts share no limits");
    };
    CHECK(told(cache));
    CHECK_FALSE(told(cache + "\nrouter_settings: {redis_host: h}"));
    CHECK_FALSE(told("litellm_settings: {cache: true, cache_params: {type: local}}"));
}

TEST_CASE("limits that would be divided by an unknown number of hosts are warned of") {
    const auto warned = [](const std::string& more) {
        const auto all = said("weir_settings: {redis: {host: h}" + more + "}");
        return has(all, "weir_settings.redis", "expected_hosts");
    };
    CHECK(warned(""));
    CHECK(warned(", fail_mode: share"));
    CHECK_FALSE(warned(", expected_hosts: 1"));
    CHECK_FALSE(warned(", expected_hosts: 3"));
    CHECK_FALSE(warned(", fail_mode: closed"));
    CHECK_FALSE(warned(", fail_mode: open"));
    CHECK(has(said("router_settings: {redis_host: h}"), "router_settings.redis_host", "expected_hosts"));
}

TEST_CASE("settings that do not go together are warned of") {
    const auto own = [](const std::string& settings) {
        return said("weir_settings: {expected_hosts: 2, redis: {host: h, " + settings + "}}");
    };
    CHECK(has(own("wait_ms: 600"), "weir_settings.redis.wait_ms", "longer than timeout_ms"));
    CHECK(own("wait_ms: 500, timeout_ms: 500").empty());
    CHECK(has(own("timeout_ms: 15000"), "weir_settings.redis.timeout_ms", "a lease should be longer"));
    CHECK(has(own("lease_seconds: 0.5"), "weir_settings.redis.lease_seconds", "a lease should be longer"));
    CHECK(has(own("timeout_ms: 49"), "weir_settings.redis.timeout_ms", "expected a number from 50"));
    const auto alone = said("weir_settings: {expected_hosts: 3, fail_mode: closed}");
    CHECK(has(alone, "weir_settings.expected_hosts", "no Redis is named"));
    CHECK(has(alone, "weir_settings.fail_mode", "no Redis is named"));
}
