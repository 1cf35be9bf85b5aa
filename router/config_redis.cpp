// Where the Redis is: LiteLLM's redis_* in router_settings, the environment, and weir_settings.redis.
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "router/config_sections.hpp"
#include "router/url.hpp"

namespace weir::router {
namespace {

constexpr auto kRedisKeys = std::to_array<std::string_view>(
    {"url", "host", "port", "username", "password", "db", "ssl", "ca_file", "prefix", "sentinel_nodes",
     "service_name", "sentinel_password", "startup_nodes", "lease_seconds", "wait_ms", "timeout_ms"});

std::uint16_t port_of(const ConfigNode& node, std::uint16_t fallback) {
    return static_cast<std::uint16_t>(node.whole(1, 65535).value_or(fallback));
}

/// The part of `text` up to `mark`, which is removed with it; nothing if the mark is not there.
std::optional<std::string_view> take_until(std::string_view& text, char mark, bool last) {
    const std::size_t at = last ? text.rfind(mark) : text.find(mark);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(at + 1);
    return part;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

/// redis[s]://[[user]:password@]host[:port][/db]. False if it is none.
bool read_url(std::string_view text, RedisSettings& redis) {
    if (text.starts_with("rediss://")) {
        redis.tls = true;
        text.remove_prefix(9);
    } else if (text.starts_with("redis://")) {
        text.remove_prefix(8);
    } else {
        return false;
    }
    if (auto user = take_until(text, '@', true)) {
        const auto name = take_until(*user, ':', false);
        const auto username = percent_decoded(name.value_or(std::string_view()));
        const auto password = percent_decoded(*user);
        if (!username || !password) return false;
        redis.username = *username;
        redis.password = *password;
    }
    text = text.substr(0, text.find('?'));
    RedisAddress address;
    std::string_view rest = text;
    if (const auto host = take_until(rest, '/', false)) {
        if (!rest.empty() && !read_number(rest, redis.database)) return false;
        text = *host;
    }
    const bool bracketed = text.starts_with('[');
    const std::size_t colon = text.rfind(':');
    if (colon != std::string_view::npos && (!bracketed || text[colon - 1] == ']')) {
        if (!read_number(text.substr(colon + 1), address.port) || address.port == 0) return false;
        text = text.substr(0, colon);
    }
    if (bracketed && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    if (text.empty()) return false;
    address.host = text;
    redis.nodes = {address};
    redis.kind = RedisSettings::Kind::single;
    return true;
}

/// [["host", 26379], …] as LiteLLM has sentinels, or [{host: …, port: …}, …] as it has a cluster's nodes.
std::vector<RedisAddress> read_nodes(const ConfigNode& list, std::uint16_t port) {
    std::vector<RedisAddress> nodes;
    for (const ConfigNode& node : list.items()) {
        const bool pair = node.is_list() && node.size() == 2;
        if (!pair && !node.is_map()) {
            node.error("expected [host, port] or {host: …, port: …}, found " + node.found());
            continue;
        }
        const auto host = (pair ? node.item(0) : node.at("host")).text();
        if (!host || host->empty()) {
            node.error("the host is missing");
            continue;
        }
        nodes.push_back({*host, port_of(pair ? node.item(1) : node.at("port"), port)});
    }
    return nodes;
}

/// The settings of one place, `start` being what stands before their names.
void read_server(const ConfigNode& section, const std::string& start, RedisSettings& redis) {
    const auto at = [&](const char* name) { return section.at(start + name); };
    if (const auto url = at("url").text(); url && !read_url(*url, redis)) {
        // Not what was found: it may hold a password.
        at("url").error("expected redis[s]://[[user]:password@]host[:port][/database]");
    }
    if (const auto host = at("host").text()) {
        redis.nodes = {{*host, redis.nodes.empty() ? std::uint16_t{6379} : redis.nodes[0].port}};
        redis.kind = RedisSettings::Kind::single;
    }
    if (!redis.nodes.empty()) redis.nodes[0].port = port_of(at("port"), redis.nodes[0].port);
    redis.username = at("username").text().value_or(redis.username);
    redis.password = at("password").text().value_or(redis.password);
    redis.database = static_cast<std::uint32_t>(at("db").whole(0, 1'000'000).value_or(redis.database));
    redis.tls = at("ssl").boolean().value_or(redis.tls);
}

/// What neither section says, once one of them asks for a Redis at all.
void read_environment(const ConfigNode& top, RedisSettings& redis) {
    const auto variable = [&](const char* name) { return top.variable(name).value_or(std::string()); };
    if (redis.nodes.empty()) {
        const std::string url = variable("REDIS_URL");
        if (!url.empty() && !read_url(url, redis)) {
            top.error("the variable REDIS_URL is not redis[s]://[[user]:password@]host[:port][/database]");
        }
        if (const std::string host = variable("REDIS_HOST"); redis.nodes.empty() && !host.empty()) {
            redis.nodes = {{host, 6379}};
            const std::string port = variable("REDIS_PORT");
            if (!port.empty() && (!read_number(port, redis.nodes[0].port) || redis.nodes[0].port == 0)) {
                top.error("the variable REDIS_PORT is not a number from 1 to 65535");
            }
        }
        if (!redis.nodes.empty()) redis.kind = RedisSettings::Kind::single;
    }
    if (redis.username.empty()) redis.username = variable("REDIS_USERNAME");
    if (redis.password.empty()) redis.password = variable("REDIS_PASSWORD");
}

void read_own(const ConfigNode& section, RedisSettings& redis) {
    redis.ca_file = section.at("ca_file").text().value_or(redis.ca_file);
    redis.prefix = section.at("prefix").text().value_or(redis.prefix);
    if (redis.prefix.empty() || redis.prefix.find_first_of("{}") != std::string::npos) {
        section.at("prefix").error("must not be empty nor hold braces: it chooses the slot in a cluster");
    }
    redis.service_name = section.at("service_name").text().value_or("");
    redis.sentinel_password = section.at("sentinel_password").text().value_or("");
    redis.lease = section.at("lease_seconds").seconds(0.5, 600).value_or(redis.lease);
    const auto ms = [&](const char* name, shm::Nanos fallback) {
        const auto value = section.at(name).number(0, 60'000);
        return value ? shm::Nanos(static_cast<std::int64_t>(*value * 1e6)) : fallback;
    };
    redis.wait = ms("wait_ms", redis.wait);
    redis.timeout = std::max(ms("timeout_ms", redis.timeout), shm::Nanos(std::chrono::milliseconds(50)));
    const auto sentinels = read_nodes(section.at("sentinel_nodes"), 26379);
    const auto nodes = read_nodes(section.at("startup_nodes"), 6379);
    if (!sentinels.empty()) {
        redis.kind = RedisSettings::Kind::sentinel;
        redis.nodes = sentinels;
        if (redis.service_name.empty()) section.error("sentinel_nodes need a service_name");
    }
    if (nodes.empty()) return;
    if (!sentinels.empty()) section.error("sentinel_nodes and startup_nodes exclude each other");
    redis.kind = RedisSettings::Kind::cluster;
    redis.nodes = nodes;
    if (redis.database != 0) section.error("a cluster has no databases but 0");
}

}  // namespace

SettingTable redis_settings() noexcept {
    return {"weir_settings.redis", kRedisKeys, {}};
}

void read_redis(const ConfigNode& top, RouterConfig& config) {
    const ConfigNode router = top.at("router_settings");
    const ConfigNode own = top.at("weir_settings").at("redis");
    RedisSettings& redis = config.weir.redis;
    const bool asked_by_litellm =
        router.is_map() && (router.at("redis_url").present() || router.at("redis_host").present());
    if (asked_by_litellm) read_server(router, "redis_", redis);
    if (own.expect_map("settings of the Redis that joins hosts")) {
        own.only(kRedisKeys);
        read_server(own, "", redis);
        read_own(own, redis);
    }
    if (!asked_by_litellm && !own.is_map()) return;
    read_environment(top, redis);
    if (redis.nodes.empty()) {
        (own.is_map() ? own : router)
            .error("no Redis is named: url, host, or the variable REDIS_HOST is needed");
    }
}

}  // namespace weir::router
