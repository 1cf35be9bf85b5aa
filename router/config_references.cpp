// Names in a configuration that refer to something that is not there.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "router/config_sections.hpp"
#include "router/wildcard.hpp"
#include "router/window_count.hpp"
#include "shm/ticket.hpp"

namespace weir::router {
namespace {

/// What clients can ask for.
class Groups {
 public:
    explicit Groups(const RouterConfig& config) {
        for (const auto& deployment : config.model_list) names_.insert(deployment.model_name);
        for (const auto& [alias, target] : config.model_group_alias) names_.insert(alias);
    }
    bool has(const std::string& name) const {
        if (names_.count(name) != 0) return true;
        return std::any_of(names_.begin(), names_.end(),
                           [&](const auto& n) { return wildcard_match(n, name); });
    }

 private:
    std::set<std::string> names_;
};

void check_lists(const ConfigNode& node, const FallbackLists& lists, const Groups& groups) {
    for (const auto& [group, list] : lists) {
        if (group != "*" && !groups.has(group)) {
            node.warn(fmt::format("\"{}\" is not in the model_list; its fallbacks are never used",
                                  group));
        }
        for (const std::string& name : list) {
            if (!groups.has(name)) node.error(fmt::format("\"{}\" is not in the model_list", name));
        }
    }
}

/// Where a setting stands that either section may have.
ConfigNode place_of(const ConfigNode& top, const char* key) {
    const ConfigNode node = top.at("router_settings").at(key);
    return node.present() ? node : top.at("litellm_settings").at(key);
}

void check_fallbacks(const ConfigNode& top, const RouterConfig& config, const Groups& groups) {
    FallbackLists own = config.fallbacks.fallbacks;
    FallbackLists everybodys;
    if (const auto node = own.extract("*")) everybodys["*"] = node.mapped();
    check_lists(place_of(top, "fallbacks"), own, groups);
    check_lists(place_of(top, "default_fallbacks"), everybodys, groups);
    check_lists(place_of(top, "context_window_fallbacks"), config.fallbacks.context_window, groups);
    check_lists(place_of(top, "content_policy_fallbacks"), config.fallbacks.content_policy, groups);
}

void check_aliases(const ConfigNode& top, const RouterConfig& config, const Groups& groups) {
    const ConfigNode node = top.at("router_settings").at("model_group_alias");
    for (const auto& [alias, target] : config.model_group_alias) {
        const bool chained = config.model_group_alias.count(target.group) != 0;
        if (chained || !groups.has(target.group)) {
            node.at(alias).error(fmt::format("\"{}\" is not in the model_list", target.group));
        }
        const bool taken =
            std::any_of(config.model_list.begin(), config.model_list.end(),
                        [&, &name = alias](const auto& d) { return d.model_name == name; });
        if (taken) node.at(alias).warn("is also a model_name; the alias goes first");
    }
}

bool has_name(const std::vector<OwnerConfig>& owners, const std::string& name) {
    return std::any_of(owners.begin(), owners.end(),
                       [&](const OwnerConfig& o) { return o.name == name; });
}

/// A pattern may stand for groups that are not there yet.
void check_models(const ConfigNode& node, const std::vector<std::string>& models, const Groups& groups) {
    for (const std::string& model : models) {
        if (groups.has(model) || model.find('*') != std::string::npos) continue;
        node.warn(fmt::format("\"{}\" is not in the model_list", model));
    }
}

void check_owners(const ConfigNode& list, const std::vector<OwnerConfig>& owners, const Groups& groups) {
    for (std::size_t i = 0; i < owners.size() && i < list.size(); ++i) {
        check_models(list.item(i).at("models"), owners[i].models, groups);
    }
}

void check_keys(const ConfigNode& top, const RouterConfig& config, const Groups& groups) {
    const ConfigNode list = top.at("weir_settings").at("keys");
    for (std::size_t i = 0; i < config.weir.keys.size() && i < list.size(); ++i) {
        const KeyConfig& key = config.weir.keys[i];
        const ConfigNode node = list.item(i);
        if (!key.user.empty() && !has_name(config.weir.users, key.user)) {
            node.at("user").warn(
                fmt::format("\"{}\" is not in users, so it has no limits", key.user));
        }
        if (!key.team.empty() && !has_name(config.weir.teams, key.team)) {
            node.at("team").warn(
                fmt::format("\"{}\" is not in teams, so it has no limits", key.team));
        }
        check_models(node.at("models"), key.models, groups);
        for (const auto& [alias, group] : key.aliases) {
            if (!groups.has(group)) {
                node.at("aliases").at(alias).error(
                    fmt::format("\"{}\" is not in the model_list", group));
            }
        }
        const std::size_t windows = caller_windows(key, config);
        if (windows + deployment_windows(config) > shm::kScopesMax) {
            // A limit that would not be looked at would be a lie.
            node.error(fmt::format(
                "with its user, team, models and end users it has {} limits, and a deployment "
                "{} more; one request can be counted under at most {}",
                windows, deployment_windows(config), shm::kScopesMax));
        }
        const auto& shares = config.priorities.shares;
        if (!key.priority.empty() && shares.find(key.priority) == shares.end()) {
            node.at("priority")
                .warn(fmt::format("\"{}\" has no share in priority_reservation", key.priority));
        }
    }
}

}  // namespace

void check_references(const ConfigNode& top, const RouterConfig& config) {
    const Groups groups(config);
    check_fallbacks(top, config, groups);
    check_aliases(top, config, groups);
    check_keys(top, config, groups);
    const ConfigNode weir = top.at("weir_settings");
    check_owners(weir.at("users"), config.weir.users, groups);
    check_owners(weir.at("teams"), config.weir.teams, groups);
    check_owners(weir.at("end_users"), config.weir.end_users, groups);
}

}  // namespace weir::router
