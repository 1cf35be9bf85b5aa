// model_list: the deployments.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "router/config_sections.hpp"
#include "router/provider.hpp"
#include "router/url.hpp"

namespace weir::router {
namespace {

constexpr double kTimeoutMost = 7 * 86400.0;

constexpr auto kParams = std::to_array<std::string_view>({"model",
                                                          "api_key",
                                                          "api_base",
                                                          "base_url",
                                                          "rpm",
                                                          "tpm",
                                                          "itpm",
                                                          "otpm",
                                                          "weight",
                                                          "order",
                                                          "max_parallel_requests",
                                                          "timeout",
                                                          "request_timeout",
                                                          "stream_timeout",
                                                          "max_retries",
                                                          "num_retries",
                                                          "cooldown_time",
                                                          "tags",
                                                          "input_cost_per_token",
                                                          "output_cost_per_token",
                                                          "api_version",
                                                          "organization",
                                                          "extra_headers",
                                                          "custom_llm_provider",
                                                          "weir_cost"});

/// litellm_params, and what default_litellm_params says where they say nothing.
class Params {
 public:
    Params(const ConfigNode& own, const ConfigNode& defaults) : own_(own), defaults_(defaults) {}
    ConfigNode at(const char* key) const {
        const ConfigNode node = own_.at(key);
        return node.present() ? node : defaults_.at(key).present() ? defaults_.at(key) : node;
    }
    const ConfigNode& own() const { return own_; }

 private:
    ConfigNode own_;
    ConfigNode defaults_;
};

/// LiteLLM looks for a limit at the entry itself, then in litellm_params, then in model_info.
std::optional<std::uint64_t> read_limit(const ConfigNode& entry, const Params& params,
                                        const char* key) {
    for (const ConfigNode& node : {entry.at(key), params.at(key), entry.at("model_info").at(key)}) {
        if (node.present()) return node.limit();
    }
    return std::nullopt;
}

/// Separates provider and model. Null, with a complaint, if the provider is not known.
const Provider* read_model(const Params& params, DeploymentConfig& deployment) {
    const ConfigNode node = params.at("model");
    const auto model = node.text();
    if (!model || model->empty()) {
        if (!node.present()) {
            params.own().error(
                "model is missing; expected the upstream's model, as in openai/gpt-4o");
        }
        return nullptr;
    }
    const auto slash = model->find('/');
    const auto custom = params.at("custom_llm_provider").text();
    const std::string name = custom                       ? *custom
                             : slash == std::string::npos ? "openai"
                                                          : model->substr(0, slash);
    const Provider* const provider = find_provider(name);
    deployment.provider = name;
    deployment.model = *model;
    if (slash != std::string::npos && model->substr(0, slash) == name)
        deployment.model = model->substr(slash + 1);
    if (provider == nullptr) {
        const char* const kind = is_foreign_provider(name) ? "is not supported" : "is unknown";
        node.error(fmt::format(
            "the provider \"{}\" {}; supported are {}. An upstream that speaks OpenAI's format is "
            "written openai/{} with an api_base",
            name, kind, provider_names(), *model));
    } else if (deployment.model.empty()) {
        node.error(fmt::format("expected a model's name behind \"{}/\"", name));
    } else if (provider->format == WireFormat::azure &&
               deployment.model.find_first_of(" /?#%\t\r\n") != std::string::npos) {
        node.error(fmt::format("\"{}\" is no name of a deployment on Azure", deployment.model));
    }
    return provider;
}

void read_api_base(const Params& params, const Provider* provider, DeploymentConfig& deployment) {
    const ConfigNode node =
        params.at("api_base").present() ? params.at("api_base") : params.at("base_url");
    auto base = node.text();
    if (!base || base->empty()) {
        if (node.present() && !base) return;  // complained about already
        if (provider == nullptr) return;
        if (provider->default_base.empty()) {
            params.own().error(
                fmt::format("api_base is missing; {} has none of its own", provider->name));
            return;
        }
        base = provider->default_base;
    }
    std::string error;
    if (!parse_url(*base, error)) node.error(error);
    deployment.api_base = *base;
    while (!deployment.api_base.empty() && deployment.api_base.back() == '/')
        deployment.api_base.pop_back();
}

void read_api_key(const Params& params, const Provider* provider, DeploymentConfig& deployment) {
    const ConfigNode node = params.at("api_key");
    if (auto key = node.text()) {
        deployment.api_key = *key;
    } else if (!node.present() && provider != nullptr && !provider->key_variable.empty()) {
        deployment.api_key =
            params.own().variable(std::string(provider->key_variable)).value_or("");
    }
    if (!fits_in_header(deployment.api_key)) {
        node.error("has a control character in it");  // never say the key itself
        deployment.api_key.clear();
    }
}

void read_headers(const ConfigNode& node, DeploymentConfig& deployment) {
    if (!node.expect_map("header fields")) return;
    for (const auto& [name, value] : node.members()) {
        constexpr std::string_view token =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
        const auto text = value.text();
        if (name.empty() || name.find_first_not_of(token) != std::string::npos) {
            value.error("is no name of a header field");
        } else if (text && !fits_in_header(*text)) {
            value.error("has a control character in it");
        } else if (text) {
            deployment.extra_headers.emplace_back(name, *text);
        }
    }
}

void read_params(const ConfigNode& entry, const Params& params, DeploymentConfig& deployment) {
    const Provider* const provider = read_model(params, deployment);
    read_api_base(params, provider, deployment);
    read_api_key(params, provider, deployment);
    deployment.api_version = params.at("api_version").text().value_or("");
    deployment.organization = params.at("organization").text().value_or("");
    for (const auto& [text, name] : {std::pair(deployment.api_version, "api_version"),
                                     std::pair(deployment.organization, "organization")}) {
        if (!fits_in_header(text) || text.find(' ') != std::string::npos) {
            params.at(name).error("has a space or a control character in it");
        }
    }
    read_headers(params.at("extra_headers"), deployment);
    deployment.weight = params.at("weight").number(0, 1e12);
    if (const auto order = params.at("order").whole(0, 1'000'000)) {
        deployment.order = static_cast<std::int64_t>(*order);
    }
    deployment.max_parallel_requests = read_limit(entry, params, "max_parallel_requests");
    const ConfigNode timeout =
        params.at("timeout").present() ? params.at("timeout") : params.at("request_timeout");
    deployment.timeout = timeout.seconds(0.001, kTimeoutMost);
    deployment.stream_timeout = params.at("stream_timeout").seconds(0.001, kTimeoutMost);
    const ConfigNode retries =
        params.at("num_retries").present() ? params.at("num_retries") : params.at("max_retries");
    if (const auto n = retries.whole(0, 100))
        deployment.num_retries = static_cast<std::uint32_t>(*n);
    deployment.cooldown_time = params.at("cooldown_time").seconds(0, kTimeoutMost);
    deployment.tags = params.at("tags").texts();
    deployment.input_cost_per_token = params.at("input_cost_per_token").number(0, 1e6);
    deployment.output_cost_per_token = params.at("output_cost_per_token").number(0, 1e6);
    if (const auto policy = read_cost_policy(params.at("weir_cost")))
        deployment.cost_policy = *policy;
}

/// model_info is also the user's own notebook, so nothing in it is unknown.
void read_info(const ConfigNode& info, DeploymentConfig& deployment) {
    if (!info.expect_map("facts about the model")) return;
    deployment.id = info.at("id").text().value_or("");
    deployment.mode = info.at("mode").text().value_or("");
    deployment.base_model = info.at("base_model").text().value_or("");
    deployment.max_input_tokens = info.at("max_input_tokens").whole(1, kLimitMax);
    deployment.max_output_tokens = info.at("max_output_tokens").whole(1, kLimitMax);
    if (const auto policy = read_cost_policy(info.at("weir_cost")))
        deployment.cost_policy = *policy;
    if (!deployment.input_cost_per_token) {
        deployment.input_cost_per_token = info.at("input_cost_per_token").number(0, 1e6);
    }
    if (!deployment.output_cost_per_token) {
        deployment.output_cost_per_token = info.at("output_cost_per_token").number(0, 1e6);
    }
}

DeploymentConfig read_deployment(const ConfigNode& entry, const ConfigNode& defaults,
                                 const WeirSettings& weir) {
    DeploymentConfig deployment;
    deployment.cost_policy = weir.cost_policy;
    if (!entry.expect_map("model_name and litellm_params")) {
        if (!entry.present())
            entry.error("expected a mapping with model_name and litellm_params, found nothing");
        return deployment;
    }
    entry.only({"model_name", "litellm_params", "model_info", "rpm", "tpm", "itpm", "otpm",
                "max_parallel_requests"});
    deployment.model_name = entry.at("model_name").text().value_or("");
    if (deployment.model_name.empty())
        entry.error("model_name is missing; expected the name clients ask for");
    if (std::count(deployment.model_name.begin(), deployment.model_name.end(), '*') > 1) {
        entry.at("model_name").error("may have one '*' at most");
    }
    const ConfigNode own = entry.at("litellm_params");
    const Params params(own, defaults);
    if (!own.present()) {
        entry.error("litellm_params is missing; expected a mapping with model and api_base");
    } else if (own.expect_map("model and api_base")) {
        own.only(kParams, ignored_params());
        read_params(entry, params, deployment);
    }
    read_info(entry.at("model_info"), deployment);
    deployment.rpm = read_limit(entry, params, "rpm");
    deployment.tpm = read_limit(entry, params, "tpm");
    deployment.itpm = read_limit(entry, params, "itpm");
    deployment.otpm = read_limit(entry, params, "otpm");
    return deployment;
}

/// An id from what a deployment is, never from its limits: editing a limit keeps the counters.
void give_ids(std::vector<DeploymentConfig>& list, const ConfigNode& node) {
    std::set<std::string> taken;
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto& deployment = list[i];
        const bool own = !deployment.id.empty();
        if (!own) {
            deployment.id = fmt::format("{}/{}@{}", deployment.model_name, deployment.model,
                                        deployment.api_base);
        }
        const std::string base = deployment.id;
        for (int n = 2; !taken.insert(deployment.id).second; ++n) {
            if (own) {
                node.item(i).error(fmt::format("model_info.id \"{}\" is used twice", base));
                break;
            }
            deployment.id = fmt::format("{}#{}", base, n);
        }
    }
}

}  // namespace

SettingTable deployment_settings() noexcept {
    return {"litellm_params", kParams, ignored_params()};
}

void read_model_list(const ConfigNode& list, const ConfigNode& defaults, RouterConfig& config) {
    if (!list.is_list() || list.size() == 0) {
        list.error("expected a list of at least one deployment, found " + list.found());
        return;
    }
    if (defaults.expect_map("litellm_params")) defaults.only(kParams, ignored_params());
    for (std::size_t i = 0; i < list.size(); ++i) {
        config.model_list.push_back(read_deployment(list.item(i), defaults, config.weir));
    }
    give_ids(config.model_list, list);
}

}  // namespace weir::router
