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

/// Everything that stands at a fixed place, with and without /v1 before it. First what is passed on; of two
/// that end alike the longer one.
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

constexpr std::string_view kNoDatabase =
    "there is no database; keys, users and teams are declared in weir_settings of the configuration";
constexpr std::string_view kKeptUpstream =
    "what is made there is kept by one deployment, and requests are spread over several";
constexpr std::string_view kNoTranslation = "bodies are not translated; only OpenAI's formats are served";
constexpr std::string_view kEditAndReload = "edit the configuration and send SIGHUP to the proxy";
constexpr std::string_view kSeeMetrics = "/health and /metrics say what is known of each deployment";
constexpr std::string_view kNoTokenizer = "there is no tokenizer";
constexpr std::string_view kNoMcp = "there is no gateway for MCP";
constexpr std::string_view kNoInterface =
    "there is no user interface; /metrics and weir-inspect show what happens";

/// What begins with one of these and has no place above. Longer ones first, where one begins with another.
constexpr auto kUnserved = std::to_array<Unserved>({
    {"/messages", kNoTranslation},
    {"/responses/", kKeptUpstream},
    {"/files", kKeptUpstream},
    {"/batches", kKeptUpstream},
    {"/fine_tuning", kKeptUpstream},
    {"/assistants", kKeptUpstream},
    {"/threads", kKeptUpstream},
    {"/vector_stores", kKeptUpstream},
    {"/containers", kKeptUpstream},
    {"/videos", kKeptUpstream},
    {"/realtime", kKeptUpstream},
    {"/key/", kNoDatabase},
    {"/user/", kNoDatabase},
    {"/team/", kNoDatabase},
    {"/customer/", kNoDatabase},
    {"/end_user/", kNoDatabase},
    {"/budget/", kNoDatabase},
    {"/organization/", kNoDatabase},
    {"/spend/", kNoDatabase},
    {"/global/spend", kNoDatabase},
    {"/config/", kEditAndReload},
    {"/model/new", kEditAndReload},
    {"/model/update", kEditAndReload},
    {"/model/delete", kEditAndReload},
    {"/health/", kSeeMetrics},
    {"/utils/", kNoTokenizer},
    {"/mcp", kNoMcp},
    {"/ui", kNoInterface},
});

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (text.substr(0, prefix.size()) != prefix) return false;
    text.remove_prefix(prefix.size());
    return true;
}

/// Without the query, and without what stands before it where the target is a whole URL, which a server must
/// understand (RFC 9112, section 3.2.2).
std::string_view path_of(std::string_view target) {
    target = target.substr(0, target.find('?'));
    if (!take_prefix(target, "http://") && !take_prefix(target, "https://")) return target;
    return target.substr(std::min(target.find('/'), target.size()));
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
    for (const Fixed& fixed : kFixed) {
        const std::string_view after = fixed.path;
        if (fixed.endpoint != Endpoint::forward) break;
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
        case Endpoint::unserved:
        case Endpoint::method_not_allowed:
        case Endpoint::liveliness:
        case Endpoint::readiness:
        case Endpoint::metrics: return true;
        default: return false;
    }
}

Route find_route(std::string_view method, std::string_view target) {
    std::string_view path = path_of(target);
    const bool v2 = path == "/v2/model/info" || path == "/v2/rerank";
    if (path.substr(0, 4) == "/v1/" || v2) path.remove_prefix(3);
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
    for (const Unserved& unserved : kUnserved) {
        if (path.substr(0, unserved.begins.size()) != unserved.begins) continue;
        Route route{Endpoint::unserved};
        route.why = unserved.why;
        return route;
    }
    return {};
}

std::span<const Unserved> unserved_endpoints() noexcept { return kUnserved; }

}  // namespace weir::proxy
