// weir_settings.keys, users, teams and end_users.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "router/config_sections.hpp"
#include "router/feedback.hpp"

namespace weir::router {
namespace {

constexpr auto kCallerKeys = std::to_array<std::string_view>(
    {"rpm_limit", "tpm_limit", "rpd_limit", "tpd_limit", "max_parallel_requests", "model_rpm_limit",
     "model_tpm_limit", "models"});

constexpr auto kOwnerKeys = std::to_array<std::string_view>(
    {"name", "rpm_limit", "tpm_limit", "rpd_limit", "tpd_limit", "max_parallel_requests",
     "model_rpm_limit", "model_tpm_limit", "models"});

constexpr auto kKeyKeys = std::to_array<std::string_view>({"name",
                                                           "key_alias",
                                                           "user_id",
                                                           "team_id",
                                                           "key",
                                                           "key_sha256",
                                                           "user",
                                                           "team",
                                                           "priority",
                                                           "expires",
                                                           "blocked",
                                                           "end_user",
                                                           "aliases",
                                                           "request_options",
                                                           "rpm_limit",
                                                           "tpm_limit",
                                                           "rpd_limit",
                                                           "tpd_limit",
                                                           "max_parallel_requests",
                                                           "model_rpm_limit",
                                                           "model_tpm_limit",
                                                           "models"});

constexpr auto kRequestOptionKeys = std::to_array<std::string_view>(
    {"num_retries", "timeout", "max_wait_seconds", "priority", "max_fallbacks"});

void read_model_limits(const ConfigNode& node,
                       std::map<std::string, std::uint64_t, std::less<>>& limits) {
    if (!node.expect_map("model groups and their limits")) return;
    for (const auto& [group, value] : node.members()) {
        if (const auto limit = value.limit()) limits[group] = *limit;
    }
}

void read_caller(const ConfigNode& node, CallerConfig& caller) {
    CallerLimitsConfig& limits = caller.limits;
    limits.rpm = node.at("rpm_limit").limit();
    limits.tpm = node.at("tpm_limit").limit();
    limits.rpd = node.at("rpd_limit").limit();
    limits.tpd = node.at("tpd_limit").limit();
    limits.max_parallel_requests = node.at("max_parallel_requests").limit();
    read_model_limits(node.at("model_rpm_limit"), limits.model_rpm);
    read_model_limits(node.at("model_tpm_limit"), limits.model_tpm);
    caller.models = node.at("models").texts();
    // LiteLLM's words for all of them; what a key's team may not use is refused by the team.
    for (const std::string_view all : {"all-proxy-models", "all-team-models"}) {
        if (std::find(caller.models.begin(), caller.models.end(), all) != caller.models.end()) {
            return caller.models.clear();
        }
    }
}

std::optional<CallerConfig> read_end_user(const ConfigNode& node) {
    if (!node.expect_map("limits")) return std::nullopt;
    node.only(kCallerKeys, ignored_of_callers());
    CallerConfig caller;
    read_caller(node, caller);
    return caller;
}

/// Weir's word for something, or else LiteLLM's.
ConfigNode either(const ConfigNode& node, const char* ours, const char* litellms) {
    return node.at(ours).present() ? node.at(ours) : node.at(litellms);
}

std::string read_name(const ConfigNode& node, std::set<std::string>& taken) {
    const ConfigNode place = either(node, "name", "key_alias");
    const std::string name = place.text().value_or("");
    if (name.empty()) {
        node.error("name is missing; its counters go by it");
    } else if (!taken.insert(name).second) {
        place.error(fmt::format("\"{}\" is used twice", name));
    }
    return name;
}

std::vector<OwnerConfig> read_owners(const ConfigNode& list) {
    std::vector<OwnerConfig> owners;
    std::set<std::string> taken;
    for (const ConfigNode& node : list.items()) {
        if (!node.expect_map("name and limits")) continue;
        node.only(kOwnerKeys, ignored_of_callers());
        OwnerConfig owner;
        owner.name = read_name(node, taken);
        read_caller(node, owner);
        owners.push_back(std::move(owner));
    }
    return owners;
}

std::optional<std::string> read_sha256(const ConfigNode& node) {
    auto text = node.text();
    if (!text) return std::nullopt;
    std::transform(text->begin(), text->end(), text->begin(), [](char c) {
        return c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    if (text->size() == 64 && text->find_first_not_of("0123456789abcdef") == std::string::npos)
        return text;
    node.error("expected 64 hexadecimal digits, the SHA-256 of the key");
    return std::nullopt;
}

std::optional<shm::Nanos> read_expires(const ConfigNode& node) {
    auto text = node.text();
    if (!text) return std::nullopt;
    const auto time = parse_rfc3339(text->size() == 10 ? *text + "T00:00:00Z" : *text);
    if (!time) {
        node.error(fmt::format(
            "expected a date such as 2030-12-31 or 2030-12-31T18:00:00Z, found \"{}\"", *text));
    }
    return time;
}

void read_secret(const ConfigNode& node, KeyConfig& key, std::set<std::string>& secrets) {
    const bool clear = node.at("key").present();
    const bool hashed = node.at("key_sha256").present();
    if (clear == hashed) {
        node.error(clear ? "key and key_sha256 are both given; expected one of them"
                         : "key is missing; expected key or key_sha256");
        return;
    }
    if (clear) {
        key.key = node.at("key").text().value_or("");
        if (key.key.empty()) return;
        if (!fits_in_header(key.key)) node.at("key").error("has a control character in it");
        if (key.key.rfind("sk-", 0) != 0) {
            node.at("key").warn(
                "does not start with sk-, as LiteLLM demands; it is used all the same");
        }
    } else {
        key.key_sha256 = read_sha256(node.at("key_sha256")).value_or("");
        if (key.key_sha256.empty()) return;
    }
    if (!secrets.insert(key.key + key.key_sha256).second)
        node.error("another entry has the same key");
}

RequestBounds read_request_options(const ConfigNode& node) {
    RequestBounds bounds;
    if (!node.expect_map("request options and their bounds")) return bounds;
    node.only(kRequestOptionKeys);
    constexpr double kDay = 86400;
    if (const auto most = node.at("num_retries").whole(0, 100)) {
        bounds.num_retries = static_cast<std::uint32_t>(*most);
    }
    bounds.timeout = node.at("timeout").seconds(0.001, kDay);
    bounds.max_wait = node.at("max_wait_seconds").seconds(0, kDay);
    if (const auto best = node.at("priority").whole(0, 255)) {
        bounds.priority = static_cast<std::uint8_t>(*best);
    }
    if (const auto most = node.at("max_fallbacks").whole(0, 100)) {
        bounds.max_fallbacks = static_cast<std::uint32_t>(*most);
    }
    return bounds;
}

KeyConfig read_key(const ConfigNode& node, std::set<std::string>& names,
                   std::set<std::string>& secrets) {
    KeyConfig key;
    key.name = read_name(node, names);
    read_secret(node, key, secrets);
    read_caller(node, key);
    key.user = either(node, "user", "user_id").text().value_or("");
    key.team = either(node, "team", "team_id").text().value_or("");
    key.priority = node.at("priority").text().value_or("");
    key.expires = read_expires(node.at("expires"));
    key.blocked = node.at("blocked").boolean().value_or(false);
    key.end_user = read_end_user(node.at("end_user"));
    key.request_options = read_request_options(node.at("request_options"));
    const ConfigNode aliases = node.at("aliases");
    if (aliases.expect_map("aliases and their groups")) {
        for (const auto& [alias, group] : aliases.members()) {
            if (const auto text = group.text()) key.aliases[alias] = *text;
        }
    }
    return key;
}

}  // namespace

SettingTable caller_settings() noexcept {
    return {"weir_settings.keys", kKeyKeys, ignored_of_callers()};
}

void read_callers(const ConfigNode& settings, WeirSettings& weir) {
    weir.request_options = read_request_options(settings.at("request_options"));
    std::set<std::string> names;
    std::set<std::string> secrets;
    for (const ConfigNode& node : settings.at("keys").items()) {
        if (!node.expect_map("name, key and limits")) continue;
        node.only(kKeyKeys, ignored_of_callers());
        weir.keys.push_back(read_key(node, names, secrets));
    }
    weir.users = read_owners(settings.at("users"));
    weir.teams = read_owners(settings.at("teams"));
    weir.end_users = read_owners(settings.at("end_users"));
    weir.end_user_default = read_end_user(settings.at("end_user_default"));
}

}  // namespace weir::router
