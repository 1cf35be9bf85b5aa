// Where the Redis is: weir_settings.redis, LiteLLM's settings of the router, and the environment.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "router/config_sections.hpp"
#include "router/redis_url.hpp"

namespace weir::router {
namespace {

using ServerKind = RedisSettings::Kind;

constexpr auto kRedisKeys = std::to_array<std::string_view>(
    {"url", "host", "port", "username", "password", "db", "ssl", "ca_file", "prefix", "sentinel_nodes",
     "service_name", "sentinel_password", "startup_nodes", "lease_seconds", "wait_ms", "timeout_ms"});

/// Of LiteLLM's router_settings, after their "redis_".
constexpr auto kRouterKeys =
    std::to_array<std::string_view>({"url", "host", "port", "username", "password", "db", "ssl"});

/// Of cache_kwargs, which LiteLLM hands to its client of Redis.
constexpr auto kCacheKeys = std::to_array<std::string_view>(
    {"url", "host", "port", "username", "password", "db", "ssl", "ssl_ca_certs", "ssl_cert_reqs",
     "sentinel_nodes", "service_name", "sentinel_password", "startup_nodes"});
constexpr auto kCacheIgnored =
    std::to_array<Ignored>({{"*", "it is an option of LiteLLM's client of Redis, or of its cache"}});

constexpr const char* kUrlForm =
    "expected redis[s]://[[user]:password@]host[:port][/database], and %-codes for the /, ?, #, @ and : of a "
    "user or a password";
constexpr const char* kVerified =
    "has no effect: certificates are always verified; give the authority that signs them as a file";

bool is_in(std::span<const std::string_view> keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

/// One of the places that say where the Redis is.
struct Place {
    ConfigNode section;
    /// How it spells a key of weir_settings.redis; empty if it has none like it.
    std::string (*spelled)(std::string_view key);
    bool environment = false;

    ConfigNode at(std::string_view key) const {
        return environment ? section.variable_place(spelled(key)) : section.at(spelled(key));
    }
    /// Whether it names a server, or tries to.
    bool names_server() const {
        return at("url").present() || at("host").present() || at("startup_nodes").present() ||
               at("sentinel_nodes").present();
    }
};

std::string as_own(std::string_view key) {
    return std::string(is_in(kRedisKeys, key) ? key : "");
}

std::string as_in_cache_kwargs(std::string_view key) {
    return std::string(key == "ca_file" ? "ssl_ca_certs" : key);
}

std::string as_in_router_settings(std::string_view key) {
    return is_in(kRouterKeys, key) ? "redis_" + std::string(key) : std::string();
}

std::string as_variable(std::string_view key) {
    if (key == "startup_nodes") return "REDIS_CLUSTER_NODES";
    std::string name = "REDIS_" + as_in_cache_kwargs(key);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name;
}

/// What has been said of the Redis so far. Each place adds what those before it have left open.
struct Said {
    ServerKind kind = ServerKind::none;
    std::string named_by;  ///< the place of what has named the server
    std::optional<std::string> host;
    std::optional<std::uint16_t> port;
    std::vector<RedisAddress> nodes;  ///< sentinels, or some of a cluster
    std::optional<std::string> service_name;
    std::optional<std::string> username;
    std::optional<std::string> password;
    std::optional<std::string> sentinel_password;
    std::optional<std::uint32_t> database;
    std::optional<bool> tls;
    std::optional<std::string> ca_file;
};

template <class Value>
void add(std::optional<Value>& said, std::optional<Value> more) {
    if (!said) said = std::move(more);
}

/// The host, if it is one. What is wrong with it is told without repeating it: a URL may hold a password.
std::optional<std::string> read_host(const Place& place) {
    const ConfigNode node = place.at("host");
    auto host = node.text();
    if (!host || is_host(*host)) return host;
    if (host->empty()) {
        node.error("is empty");
    } else if (host->find("://") != std::string::npos) {
        node.error(fmt::format("is a URL, which is to be given as {}", place.spelled("url")));
    } else if (is_host(std::string_view(*host).substr(0, host->find(':')))) {
        node.error(fmt::format("has a port in it, which is to be given as {}", place.spelled("port")));
    } else {
        node.error("is neither a name nor an address; one of IPv6 has no brackets here");
    }
    return std::nullopt;
}

/// [["host", 26379], …] as LiteLLM has sentinels, or [{host: …, port: …}, …] as it has a cluster's nodes,
/// or the JSON of either.
std::vector<RedisAddress> read_nodes(const ConfigNode& place, std::uint16_t port) {
    std::vector<RedisAddress> nodes;
    const ConfigNode list = place.unfolded();
    if (!list.present()) return nodes;
    if (!list.is_list() || list.size() == 0) place.error("expected a list of nodes, or the JSON of one");
    if (!list.is_list()) return nodes;
    for (const ConfigNode& node : list.items()) {
        const bool pair = node.is_list() && node.size() == 2;
        if (!pair && !node.is_map()) {
            node.error("expected [host, port] or {host: …, port: …}");
            continue;
        }
        const auto host = (pair ? node.item(0) : node.at("host")).text();
        if (!host || !is_host(*host)) {
            node.error(host ? "the host is neither a name nor an address" : "the host is missing");
            continue;
        }
        const auto number = (pair ? node.item(1) : node.at("port")).whole(1, 65535);
        nodes.push_back({*host, static_cast<std::uint16_t>(number.value_or(port))});
    }
    return nodes;
}

/// The URL of `place`, if it counts.
std::optional<RedisUrl> read_url(const Place& place, Said& said) {
    const ConfigNode node = place.at("url");
    const auto text = node.text();
    if (!text) return std::nullopt;
    auto url = parse_redis_url(*text);
    const bool known = said.kind != ServerKind::none;
    // What nobody needs of the environment may be meant for another program.
    if (!url && !(known && place.environment)) {
        node.error(kUrlForm);  // not what was found: it may hold a password
        return std::nullopt;
    }
    if (known) {
        if (url && said.kind == ServerKind::single && said.host == url->address.host &&
            said.port.value_or(url->address.port) == url->address.port) {
            return url;
        }
        // Its password is not for the other server.
        node.warn(fmt::format("has no effect: {} goes before it, and is another Redis", said.named_by));
        return std::nullopt;
    }
    said.kind = ServerKind::single;
    said.named_by = node.path();
    said.host = url->address.host;
    if (url->unverified) node.warn(fmt::format("ssl_cert_reqs or ssl_check_hostname {}", kVerified));
    for (const std::string& name : url->unknown) node.warn(fmt::format("\"{}\" in it has no effect", name));
    if (url->username && !url->password) {
        node.warn("names a user and no password; a password alone is written redis://:PASSWORD@…");
    }
    return url;
}

/// Nodes of a cluster, or sentinels.
void read_server(const Place& place, const char* key, ServerKind kind, std::uint16_t port, Said& said) {
    const ConfigNode node = place.at(key);
    const bool known = said.kind != ServerKind::none;
    auto nodes = known && place.environment ? std::vector<RedisAddress>() : read_nodes(node, port);
    if (known) {
        if (node.present() && said.kind != kind) {
            node.warn(fmt::format("has no effect: {} goes before it, and is another Redis", said.named_by));
        }
    } else if (!nodes.empty()) {
        said.kind = kind;
        said.nodes = std::move(nodes);
        said.named_by = node.path();
    }
}

/// The port beside a host. Kubernetes gives to each program REDIS_PORT=tcp://… of a service named redis.
std::optional<std::uint16_t> read_port(const ConfigNode& node, bool environment) {
    if (environment && node.text().value_or("").starts_with("tcp://")) {
        node.warn("has no effect: it is not a port, but what Kubernetes says of a service");
        return std::nullopt;
    }
    const auto number = node.whole(1, 65535);
    return number ? std::optional(static_cast<std::uint16_t>(*number)) : std::nullopt;
}

void read_place(const Place& place, Said& said) {
    const bool first = said.kind == ServerKind::none;
    const auto url = read_url(place, said);
    read_server(place, "startup_nodes", ServerKind::cluster, 6379, said);
    read_server(place, "sentinel_nodes", ServerKind::sentinel, 26379, said);
    const auto host = first || !place.environment ? read_host(place) : std::nullopt;
    if (host && said.kind == ServerKind::none) {
        said.kind = ServerKind::single;
        said.named_by = place.at("host").path();
        said.host = host;
    } else if (host && first && host != said.host) {
        place.at("host").warn(fmt::format("has no effect: {} goes before it", said.named_by));
    }
    // A URL goes before what stands beside it, as in LiteLLM.
    const auto take = [&](const char* key, auto& all, const auto& in_url, const auto& read) {
        if (all && place.environment) return;
        const ConfigNode node = place.at(key);
        const auto beside = read(node);
        if (in_url && beside && *in_url != *beside) {
            node.warn("has no effect: the URL beside it says otherwise");
        }
        add(all, in_url);
        add(all, beside);
    };
    const auto text = [](const ConfigNode& node) { return node.text(); };
    const auto truth = [](const ConfigNode& node) { return node.boolean(); };
    const auto port = [&](const ConfigNode& node) { return read_port(node, place.environment); };
    const auto database = [](const ConfigNode& node) {
        const auto number = node.whole(0, 1'000'000);
        return number ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
    };
    const RedisUrl none;
    const RedisUrl& said_by_url = url ? *url : none;
    take("port", said.port, url ? std::optional(url->address.port) : std::nullopt, port);
    take("username", said.username, said_by_url.username, text);
    take("password", said.password, said_by_url.password, text);
    take("db", said.database, said_by_url.database, database);
    take("ssl", said.tls, said_by_url.tls ? std::optional(true) : std::nullopt, truth);
    take("ca_file", said.ca_file, said_by_url.ca_file, text);
    take("service_name", said.service_name, std::optional<std::string>(), text);
    take("sentinel_password", said.sentinel_password, std::optional<std::string>(), text);
    if (const auto asked = place.at("ssl_cert_reqs").text(); asked && *asked != "required") {
        place.at("ssl_cert_reqs").warn(kVerified);
    }
}

/// What only weir_settings.redis has.
void read_own(const ConfigNode& section, RedisSettings& redis) {
    redis.prefix = section.at("prefix").text().value_or(redis.prefix);
    if (redis.prefix.empty() || redis.prefix.find_first_of("{}") != std::string::npos) {
        section.at("prefix").error("must not be empty nor hold braces: it chooses the slot in a cluster");
    }
    redis.lease = section.at("lease_seconds").seconds(0.5, 600).value_or(redis.lease);
    const auto ms = [&](const char* name, double least, shm::Nanos fallback) {
        const auto value = section.at(name).number(least, 60'000);
        return value ? shm::Nanos(static_cast<std::int64_t>(*value * 1e6)) : fallback;
    };
    redis.wait = ms("wait_ms", 0, redis.wait);
    redis.timeout = ms("timeout_ms", 50, redis.timeout);
    if (redis.wait > redis.timeout) {
        section.at("wait_ms").warn("is longer than timeout_ms, after which there is nothing to wait for");
    }
    if (redis.timeout >= redis.lease) {
        section.at(section.at("timeout_ms").present() ? "timeout_ms" : "lease_seconds")
            .warn("a lease should be longer than timeout_ms: it ends while its host waits for one answer");
    }
}

void settle(Said said, const ConfigNode& asker, RedisSettings& redis) {
    redis.kind = said.kind;
    redis.nodes = std::move(said.nodes);
    if (said.kind == ServerKind::single) redis.nodes = {{*said.host, said.port.value_or(6379)}};
    redis.service_name = said.service_name.value_or("");
    redis.username = said.username.value_or("");
    redis.password = said.password.value_or("");
    redis.sentinel_password = said.sentinel_password.value_or("");
    redis.database = said.database.value_or(0);
    redis.tls = said.tls.value_or(false);
    redis.ca_file = said.ca_file.value_or("");
    if (redis.kind == ServerKind::sentinel && redis.service_name.empty()) {
        asker.error("sentinel_nodes need a service_name");
    }
    if (redis.kind == ServerKind::cluster && redis.database != 0) {
        asker.error("a cluster has no databases but 0");
    }
}

/// What is to be said where no place names a server.
void report_none(const ConfigNode& top, const ConfigNode& asker, bool must) {
    constexpr std::string_view needed = "no Redis is named: url, host, or the variable REDIS_HOST is needed";
    if (must) {
        asker.error(std::string(needed));
    } else if (asker.present()) {
        asker.warn(fmt::format("has no effect: {}", needed));
    }
    const ConfigNode cache = top.at("litellm_settings").at("cache_params");
    if (cache.at("type").found().starts_with("\"redis")) {  // as it stands: it is not used
        cache.warn(
            "hosts share no limits through this Redis; name it in weir_settings.redis, or by redis_host in "
            "router_settings");
    }
    for (const char* name : {"fail_mode", "expected_hosts"}) {
        const ConfigNode node = top.at("weir_settings").at(name);
        if (node.present()) node.warn("has no effect: no Redis is named, and limits are of this host alone");
    }
}

}  // namespace

SettingTable redis_settings() noexcept {
    return {"weir_settings.redis", kRedisKeys, {}};
}

void read_redis(const ConfigNode& top, RouterConfig& config) {
    const ConfigNode weir = top.at("weir_settings");
    const Place own{weir.at("redis"), as_own};
    const Place router{top.at("router_settings"), as_in_router_settings};
    const Place cache{router.section.at("cache_kwargs"), as_in_cache_kwargs};
    const Place variables{top, as_variable, true};
    RedisSettings& redis = config.weir.redis;

    // Where complaints about the Redis as a whole belong: at what asks for one.
    std::optional<ConfigNode> asker;
    if (own.section.expect_map("settings of the Redis that joins hosts")) {
        own.section.only(kRedisKeys);
        read_own(own.section, redis);
        asker.emplace(own.section);
    }
    if (cache.section.expect_map("options of a Redis")) cache.section.only(kCacheKeys, kCacheIgnored);
    for (const Place* const place : {&router, &cache}) {
        for (const std::string_view key : kRedisKeys) {
            if (!asker && place->at(key).present()) asker.emplace(place->at(key));
        }
    }
    if (!asker) return report_none(top, own.section, false);
    Said said;
    for (const Place* const place : {&own, &cache, &router, &variables}) read_place(*place, said);
    if (said.kind != ServerKind::none) {
        settle(std::move(said), *asker, redis);
    } else if (!own.names_server() && !cache.names_server() && !router.names_server() &&
               !variables.names_server()) {
        report_none(top, *asker, own.section.is_map());
    }
    if (redis.enabled() && config.weir.fail_mode == FailMode::share && !weir.at("expected_hosts").present()) {
        asker->warn(
            "without contact to it, a host that has not seen others takes every limit whole: set "
            "weir_settings.expected_hosts to their number (1 if it is one), or fail_mode to closed or open");
    }
}

}  // namespace weir::router
