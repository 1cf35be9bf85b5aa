#include "router/window_count.hpp"

#include <algorithm>

namespace weir::router {
namespace {

std::size_t count(const CallerLimitsConfig& limits) noexcept {
    const std::size_t own = limits.rpm.has_value() + std::size_t{limits.tpm.has_value()} +
                            limits.rpd.has_value() + std::size_t{limits.tpd.has_value()};
    return own + !limits.model_rpm.empty() + !limits.model_tpm.empty();
}

std::size_t count(const std::vector<OwnerConfig>& owners, const std::string& name) noexcept {
    for (const OwnerConfig& owner : owners) {
        if (!name.empty() && owner.name == name) return count(owner.limits);
    }
    return 0;
}

std::size_t count(const std::optional<CallerConfig>& caller) noexcept {
    return caller ? count(caller->limits) : 0;
}

}  // namespace

std::size_t deployment_windows(const RouterConfig& config) noexcept {
    std::size_t most = 0;
    for (const DeploymentConfig& entry : config.model_list) {
        const std::size_t limits = entry.rpm.has_value() + std::size_t{entry.tpm.has_value()} +
                                   entry.itpm.has_value() + std::size_t{entry.otpm.has_value()};
        most = std::max(most, limits);
    }
    if (!config.priorities.shares.empty()) most *= 2;
    return most + (config.strategy == Strategy::usage_based ? 1 : 0);
}

std::size_t caller_windows(const KeyConfig& key, const RouterConfig& config) noexcept {
    std::size_t end_user = std::max(count(key.end_user), count(config.weir.end_user_default));
    for (const OwnerConfig& declared : config.weir.end_users) {
        end_user = std::max(end_user, count(declared.limits));
    }
    return count(key.limits) + count(config.weir.users, key.user) +
           count(config.weir.teams, key.team) + end_user;
}

}  // namespace weir::router
