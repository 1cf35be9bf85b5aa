#include "proxy/info.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "shm/health.hpp"

namespace weir::proxy {
namespace {

using nlohmann::json;

template <class T>
json or_null(const std::optional<T>& value) {
    return value ? json(*value) : json(nullptr);
}

/// A configuration's text need not be UTF-8.
std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json describe(router::Router& router, const router::Deployment& deployment, shm::Nanos now) {
    const router::DeploymentConfig& config = deployment.config();
    json remaining = json::object();
    for (const router::Scope& scope : deployment.scopes()) {
        remaining[shm::unit_name(scope.unit)] =
            router.participant().look(scope.limiter, now).remaining;
    }
    const auto health = shm::read_health(deployment.health(), now);
    return {{"model_name", config.model_name},
            {"litellm_params",
             {{"model", config.provider + "/" + config.model},
              {"api_base", config.api_base},
              {"rpm", or_null(config.rpm)},
              {"tpm", or_null(config.tpm)},
              {"weight", or_null(config.weight)}}},
            {"model_info",
             {{"id", config.id},
              {"mode", config.mode.empty() ? json(nullptr) : json(config.mode)},
              {"base_model", config.base_model.empty() ? json(nullptr) : json(config.base_model)},
              {"max_input_tokens", or_null(config.max_input_tokens)},
              {"max_output_tokens", or_null(config.max_output_tokens)},
              {"input_cost_per_token", or_null(config.input_cost_per_token)},
              {"output_cost_per_token", or_null(config.output_cost_per_token)}}},
            {"weir",
             {{"remaining", remaining},
              {"in_flight", router.participant().in_flight(deployment.in_flight())},
              {"cooling_down", health.cooldown_until > now},
              {"failures_in_last_minute", health.failures}}}};
}

void add_to(json& sum, const std::optional<std::uint64_t>& units) {
    if (units) sum = sum.is_null() ? *units : sum.get<std::uint64_t>() + *units;
}

template <class T>
void raise_to(json& most, const std::optional<T>& value) {
    if (value && (most.is_null() || most.get<T>() < *value)) most = *value;
}

void add_deployment(json& group, const router::DeploymentConfig& config) {
    group["model_group"] = config.model_name;
    json& providers = group["providers"];
    if (providers.is_null()) providers = json::array();
    if (std::find(providers.begin(), providers.end(), config.provider) == providers.end()) {
        providers.push_back(config.provider);
    }
    add_to(group["rpm"], config.rpm);
    add_to(group["tpm"], config.tpm);
    raise_to(group["max_input_tokens"], config.max_input_tokens);
    raise_to(group["max_output_tokens"], config.max_output_tokens);
    raise_to(group["input_cost_per_token"], config.input_cost_per_token);
    raise_to(group["output_cost_per_token"], config.output_cost_per_token);
    if (json& mode = group["mode"]; mode.is_null() && !config.mode.empty()) mode = config.mode;
}

PlainAnswer answer(const json& body) {
    PlainAnswer answer;
    answer.body = dump(body);
    return answer;
}

}  // namespace

PlainAnswer model_info(router::Router& router, shm::Nanos now, const Visible& visible) {
    json data = json::array();
    router.each_deployment([&](const router::Deployment& deployment) {
        if (visible(deployment.config().model_name)) data.push_back(describe(router, deployment, now));
    });
    return answer({{"data", data}});
}

PlainAnswer model_group_info(router::Router& router, const Visible& visible) {
    std::map<std::string, json> groups;
    router.each_deployment([&](const router::Deployment& deployment) {
        const router::DeploymentConfig& config = deployment.config();
        if (visible(config.model_name)) add_deployment(groups[config.model_name], config);
    });
    json data = json::array();
    for (const auto& [name, group] : groups) data.push_back(group);
    return answer({{"data", data}});
}

PlainAnswer health(router::Router& router, shm::Nanos now, const Visible& visible) {
    json healthy = json::array();
    json unhealthy = json::array();
    router.each_deployment([&](const router::Deployment& deployment) {
        if (!visible(deployment.config().model_name)) return;
        const auto record = shm::read_health(deployment.health(), now);
        const bool cooling = record.cooldown_until > now;
        json entry = {{"model", deployment.config().model},
                      {"model_id", deployment.config().id},
                      {"api_base", deployment.config().api_base}};
        if (cooling) {
            entry["cooldown_seconds"] =
                shm::to_seconds(record.cooldown_until - now);
        }
        (cooling ? unhealthy : healthy).push_back(entry);
    });
    return answer({{"healthy_endpoints", healthy},
                   {"unhealthy_endpoints", unhealthy},
                   {"healthy_count", healthy.size()},
                   {"unhealthy_count", unhealthy.size()}});
}

}  // namespace weir::proxy
