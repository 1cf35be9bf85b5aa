// The sections of a configuration file, one function each.
//
// Private to the reading of configurations. Thread safety: none.
#pragma once

#include "router/config.hpp"
#include "router/config_node.hpp"

namespace weir::router {

/// `defaults` is router_settings.default_litellm_params. Needs config.weir to be read already.
void read_model_list(const ConfigNode& list, const ConfigNode& defaults, RouterConfig& config);

/// What LiteLLM reads first and router_settings may override.
void read_litellm_settings(const ConfigNode& settings, RouterConfig& config);
void read_router_settings(const ConfigNode& settings, RouterConfig& config);
void read_general_settings(const ConfigNode& settings, RouterConfig& config);
void read_weir_settings(const ConfigNode& settings, RouterConfig& config);

/// router_settings.redis_*, weir_settings.redis and REDIS_* of the environment.
void read_redis(const ConfigNode& top, RouterConfig& config);

/// keys, users, teams, end_users and end_user_default, all of weir_settings.
void read_callers(const ConfigNode& settings, WeirSettings& weir);

/// Names that refer to something that is not there.
void check_references(const ConfigNode& top, const RouterConfig& config);

/// A cost policy by its name.
std::optional<CostPolicy> read_cost_policy(const ConfigNode& node);

/// Whether `text` may stand in the value of a header field.
bool fits_in_header(std::string_view text) noexcept;

/// The settings of one section: what the documentation has to list.
struct SettingTable {
    std::string_view section;
    std::span<const std::string_view> known;
    std::span<const Ignored> ignored;
};
SettingTable deployment_settings() noexcept;  ///< litellm_params
SettingTable router_settings() noexcept;
SettingTable litellm_settings() noexcept;
SettingTable general_settings() noexcept;
SettingTable weir_settings() noexcept;
SettingTable redis_settings() noexcept;  ///< weir_settings.redis
SettingTable caller_settings() noexcept;  ///< of keys; users, teams and end users have some of them
SettingTable top_settings() noexcept;     ///< the sections themselves

}  // namespace weir::router
