#include "router/config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "router/url.hpp"

namespace weir::router {
namespace {

constexpr std::uint64_t kLimitMax = (std::uint64_t{1} << 39) - 1;

/// A node with its path, so that every complaint can say where. Cheap to copy: YAML::Node is a handle.
class Reader {
 public:
    Reader(YAML::Node node, std::string path, std::vector<Problem>& problems)
        : node_(std::move(node)), path_(std::move(path)), problems_(&problems) {}

    const YAML::Node& node() const { return node_; }
    bool present() const { return node_.IsDefined() && !node_.IsNull(); }

    Reader at(const char* key) const {
        const std::string path = path_.empty() ? key : path_ + "." + key;
        // Indexing a mapping that lacks the key yields an undefined node, which is what `present` asks.
        return {node_.IsMap() ? node_[key] : YAML::Node(YAML::NodeType::Undefined), path, *problems_};
    }
    Reader item(std::size_t index) const {
        return {node_[index], fmt::format("{}[{}]", path_, index), *problems_};
    }

    void error(const std::string& message) const { report(Problem::Severity::error, message); }
    void warn(const std::string& message) const { report(Problem::Severity::warning, message); }

    /// True if this is a mapping; complains if it is something else.
    bool is_map(const char* what) const {
        if (node_.IsMap()) return true;
        error(fmt::format("expected a mapping with {}, found {}", what, found()));
        return false;
    }

    /// Warns of every key that is not in `known`.
    void only(std::initializer_list<const char*> known) const {
        for (const auto& entry : node_) {
            const auto key = entry.first.as<std::string>("?");
            if (std::find(known.begin(), known.end(), key) == known.end()) {
                Reader(entry.first, path_.empty() ? key : path_ + "." + key, *problems_)
                    .warn("unknown or not supported; it has no effect");
            }
        }
    }

    std::optional<std::string> text() const {
        if (!present()) return std::nullopt;
        if (!node_.IsScalar()) {
            error("expected text, found " + found());
            return std::nullopt;
        }
        return resolved();
    }

    std::optional<std::uint64_t> whole(std::uint64_t least, std::uint64_t most) const {
        const auto value = number(static_cast<double>(least), static_cast<double>(most), true);
        if (!value) return std::nullopt;
        return static_cast<std::uint64_t>(*value);
    }

    std::optional<double> number(double least, double most, bool whole_only = false) const {
        if (!present()) return std::nullopt;
        const std::string expected = fmt::format("expected a {}number from {} to {}",
                                                 whole_only ? "whole " : "", least, most);
        const std::string text = node_.IsScalar() ? resolved() : std::string();
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (text.empty() || *end != '\0' || !(value >= least && value <= most) ||
            (whole_only && value != std::floor(value))) {
            error(expected + ", found " + found());
            return std::nullopt;
        }
        return value;
    }

    std::string found() const {
        if (!node_.IsDefined()) return "nothing";
        if (node_.IsNull()) return "null";
        if (node_.IsMap()) return "a mapping";
        if (node_.IsSequence()) return "a list";
        return fmt::format("\"{}\"", node_.Scalar());
    }

 private:
    /// The scalar, or the environment's word for it: `os.environ/X` replaces a whole value.
    std::string resolved() const {
        constexpr std::string_view prefix = "os.environ/";
        const std::string& raw = node_.Scalar();
        if (raw.rfind(prefix, 0) != 0) return raw;
        const std::string variable = raw.substr(prefix.size());
        if (const char* value = std::getenv(variable.c_str())) return value;
        error(fmt::format("the environment variable {} is not set", variable));
        return {};
    }

    void report(Problem::Severity severity, const std::string& message) const {
        const int line = node_.IsDefined() ? node_.Mark().line + 1 : 0;
        problems_->push_back({severity, line, path_, message});
    }

    YAML::Node node_;
    std::string path_;
    std::vector<Problem>* problems_;
};

/// LiteLLM looks for a limit at the entry itself, then in litellm_params, then in model_info.
std::optional<std::uint64_t> read_limit(const Reader& entry, const char* key) {
    for (const Reader& place : {entry, entry.at("litellm_params"), entry.at("model_info")}) {
        if (place.present() && place.at(key).present()) return place.at(key).whole(1, kLimitMax);
    }
    return std::nullopt;
}

void read_model(const Reader& params, DeploymentConfig& deployment) {
    const auto model = params.at("model").text();
    if (!model || model->empty()) {
        params.error("litellm_params.model is missing; expected the upstream's model, as in openai/gpt-4o");
        return;
    }
    constexpr std::string_view prefix = "openai/";
    deployment.model = model->rfind(prefix, 0) == 0 ? model->substr(prefix.size()) : *model;
}

void read_api_base(const Reader& params, DeploymentConfig& deployment) {
    const auto base = params.at("api_base").text();
    if (!base || base->empty()) {
        params.error("litellm_params.api_base is missing; expected http://host:port");
        return;
    }
    std::string error;
    if (!parse_url(*base, error)) params.at("api_base").error(error);
    deployment.api_base = *base;
    while (!deployment.api_base.empty() && deployment.api_base.back() == '/') deployment.api_base.pop_back();
}

DeploymentConfig read_deployment(const Reader& entry) {
    DeploymentConfig deployment;
    if (!entry.is_map("model_name and litellm_params")) return deployment;
    entry.only({"model_name", "litellm_params", "model_info", "rpm", "tpm"});
    deployment.model_name = entry.at("model_name").text().value_or("");
    if (deployment.model_name.empty()) entry.error("model_name is missing; expected the name clients ask for");

    const Reader params = entry.at("litellm_params");
    if (!params.present()) {
        entry.error("litellm_params is missing; expected a mapping with model and api_base");
    } else if (params.is_map("model and api_base")) {
        params.only({"model", "api_key", "api_base", "rpm", "tpm", "weight"});
        read_model(params, deployment);
        read_api_base(params, deployment);
        deployment.api_key = params.at("api_key").text().value_or("");
        deployment.weight = params.at("weight").number(0, 1e12);
    }
    deployment.rpm = read_limit(entry, "rpm");
    deployment.tpm = read_limit(entry, "tpm");
    if (entry.at("model_info").present()) deployment.id = entry.at("model_info").at("id").text().value_or("");
    return deployment;
}

/// An id from what a deployment is, never from its limits: editing a limit keeps the counters.
void give_ids(std::vector<DeploymentConfig>& list, const Reader& reader) {
    std::set<std::string> taken;
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto& deployment = list[i];
        const bool own = !deployment.id.empty();
        if (!own) {
            deployment.id = fmt::format("{}/{}@{}", deployment.model_name, deployment.model, deployment.api_base);
        }
        const std::string base = deployment.id;
        for (int n = 2; !taken.insert(deployment.id).second; ++n) {
            if (own) {
                reader.item(i).error(fmt::format("model_info.id \"{}\" is used twice", base));
                break;
            }
            deployment.id = fmt::format("{}#{}", base, n);
        }
    }
}

void read_model_list(const Reader& list, RouterConfig& config) {
    if (!list.present() || !list.node().IsSequence() || list.node().size() == 0) {
        list.error("expected a list of at least one deployment, found " + list.found());
        return;
    }
    for (std::size_t i = 0; i < list.node().size(); ++i) {
        config.model_list.push_back(read_deployment(list.item(i)));
    }
    give_ids(config.model_list, list);
}

void read_router_settings(const Reader& settings, RouterConfig& config) {
    if (!settings.present() || !settings.is_map("router settings")) return;
    settings.only({"routing_strategy", "enable_pre_call_checks", "num_retries"});
    if (const auto strategy = settings.at("routing_strategy").text()) {
        if (*strategy == "simple-shuffle") {
            config.routing_strategy = *strategy;
        } else {
            settings.at("routing_strategy")
                .error(fmt::format("expected simple-shuffle, found \"{}\"", *strategy));
        }
    }
    const auto retries = settings.at("num_retries").whole(0, 100);
    if (retries && *retries > 0) settings.at("num_retries").warn("retries are not supported; 0 is used");
}

void read_general_settings(const Reader& settings, RouterConfig& config) {
    if (!settings.present() || !settings.is_map("general settings")) return;
    settings.only({"master_key"});
    config.master_key = settings.at("master_key").text().value_or("");
}

void read_weir_settings(const Reader& settings, RouterConfig& config) {
    if (!settings.present() || !settings.is_map("Weir's settings")) return;
    settings.only({"segment", "segment_size", "window_seconds", "max_body_bytes", "upstream_timeout_seconds"});
    auto& weir = config.weir;
    const auto seconds = [](double s) { return shm::Nanos(static_cast<std::int64_t>(std::llround(s * 1e9))); };
    weir.segment = settings.at("segment").text().value_or(weir.segment);
    weir.segment_size =
        settings.at("segment_size").whole(1u << 20, std::uint64_t{1} << 40).value_or(weir.segment_size);
    if (const auto s = settings.at("window_seconds").number(0.01, 366.0 * 86400)) weir.window = seconds(*s);
    weir.max_body_bytes =
        settings.at("max_body_bytes").whole(1, std::uint64_t{1} << 32).value_or(weir.max_body_bytes);
    if (const auto s = settings.at("upstream_timeout_seconds").number(0.001, 86400)) {
        weir.upstream_timeout = seconds(*s);
    }
}

}  // namespace

bool LoadedConfig::ok() const {
    return std::none_of(problems.begin(), problems.end(),
                        [](const Problem& p) { return p.severity == Problem::Severity::error; });
}

LoadedConfig parse_config(const std::string& text) {
    LoadedConfig loaded;
    YAML::Node root;
    try {
        root = YAML::Load(text);
    } catch (const YAML::Exception& e) {
        loaded.problems.push_back({Problem::Severity::error, e.mark.line + 1, "", "malformed YAML: " + e.msg});
        return loaded;
    }
    const Reader top(root, "", loaded.problems);
    if (!top.is_map("model_list")) return loaded;
    top.only({"model_list", "router_settings", "general_settings", "weir_settings"});
    read_model_list(top.at("model_list"), loaded.config);
    read_router_settings(top.at("router_settings"), loaded.config);
    read_general_settings(top.at("general_settings"), loaded.config);
    read_weir_settings(top.at("weir_settings"), loaded.config);
    return loaded;
}

LoadedConfig load_config(const std::string& file) {
    std::ifstream in(file);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in || !text) {
        LoadedConfig loaded;
        loaded.problems.push_back({Problem::Severity::error, 0, "", "cannot be read"});
        return loaded;
    }
    return parse_config(text.str());
}

std::string to_string(const Problem& problem, std::string_view file) {
    const std::string line = problem.line > 0 ? fmt::format(":{}", problem.line) : std::string();
    const std::string path = problem.path.empty() ? std::string() : problem.path + ": ";
    const bool error = problem.severity == Problem::Severity::error;
    return fmt::format("{}{}: {}: {}{}", file, line, error ? "error" : "warning", path, problem.message);
}

}  // namespace weir::router
