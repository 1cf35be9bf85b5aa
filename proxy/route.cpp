#include "proxy/route.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "router/url.hpp"

namespace weir::proxy {
namespace {

struct Fixed {
    std::string_view path;  // without /v1
    Endpoint endpoint;
    std::string_view method;
};

/// Everything that stands at a fixed place, with and without /v1 before it.
constexpr std::array kFixed = {
    Fixed{"/chat/completions", Endpoint::forward, "POST"},
    Fixed{"/completions", Endpoint::forward, "POST"},
    Fixed{"/embeddings", Endpoint::forward, "POST"},
    Fixed{"/responses", Endpoint::forward, "POST"},
    Fixed{"/moderations", Endpoint::forward, "POST"},
    Fixed{"/rerank", Endpoint::forward, "POST"},
    Fixed{"/audio/speech", Endpoint::forward, "POST"},
    Fixed{"/audio/transcriptions", Endpoint::forward, "POST"},
    Fixed{"/audio/translations", Endpoint::forward, "POST"},
    Fixed{"/images/generations", Endpoint::forward, "POST"},
    Fixed{"/images/edits", Endpoint::forward, "POST"},
    Fixed{"/images/variations", Endpoint::forward, "POST"},
    Fixed{"/model/info", Endpoint::model_info, "GET"},
    Fixed{"/model_group/info", Endpoint::model_group_info, "GET"},
    Fixed{"/metrics", Endpoint::metrics, "GET"},
    Fixed{"/health", Endpoint::health, "GET"},
    Fixed{"/models", Endpoint::models, "GET"},
    Fixed{"/health/liveliness", Endpoint::liveliness, "GET"},
    Fixed{"/health/liveness", Endpoint::liveliness, "GET"},
    Fixed{"/health/readiness", Endpoint::readiness, "GET"},
};

/// What may follow a model in the path, as in /engines/{model}/chat/completions.
constexpr std::array<std::string_view, 3> kAfterModel = {"/chat/completions", "/completions",
                                                         "/embeddings"};

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (text.substr(0, prefix.size()) != prefix) return false;
    text.remove_prefix(prefix.size());
    return true;
}

Route with_method(Route route, std::string_view method, std::string_view allowed) {
    const bool head_for_get = method == "HEAD" && allowed == "GET";
    if (method == allowed || head_for_get) return route;
    route.endpoint = Endpoint::method_not_allowed;
    route.allow = allowed;
    return route;
}

/// /engines/{model}/… and /openai/deployments/{model}/…: the model may contain slashes.
std::optional<Route> model_in_path(std::string_view method, std::string_view path) {
    if (!take_prefix(path, "/engines/") && !take_prefix(path, "/openai/deployments/")) return std::nullopt;
    for (const std::string_view after : kAfterModel) {
        if (path.size() <= after.size() || path.substr(path.size() - after.size()) != after) continue;
        const auto model = router::percent_decoded(path.substr(0, path.size() - after.size()));
        if (!model || model->empty()) return std::nullopt;
        return with_method({Endpoint::forward, after, *model}, method, "POST");
    }
    return std::nullopt;
}

}  // namespace

bool is_open(Endpoint endpoint) noexcept {
    switch (endpoint) {
        case Endpoint::not_found:
        case Endpoint::method_not_allowed:
        case Endpoint::liveliness:
        case Endpoint::readiness:
        case Endpoint::metrics: return true;
        default: return false;
    }
}

Route find_route(std::string_view method, std::string_view target) {
    std::string_view path = target.substr(0, std::min(target.find('?'), target.size()));
    if (path.substr(0, 4) == "/v1/" || path == "/v2/model/info") path.remove_prefix(3);
    if (path == "/metrics/") path.remove_suffix(1);  // where LiteLLM's page redirects to
    for (const Fixed& fixed : kFixed) {
        if (path != fixed.path) continue;
        return with_method({fixed.endpoint, fixed.path}, method, fixed.method);
    }
    if (path == "/queue/chat/completions") {
        Route route = find_route(method, "/chat/completions");
        route.queued = route.endpoint == Endpoint::forward;
        return route;
    }
    if (const auto route = model_in_path(method, path)) return *route;
    if (take_prefix(path, "/models/") && !path.empty()) {
        if (const auto model = router::percent_decoded(path)) {
            return with_method({Endpoint::model, {}, *model}, method, "GET");
        }
    }
    return {};
}

}  // namespace weir::proxy
