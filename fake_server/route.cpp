#include "fake_server/route.hpp"

namespace weir::fake_server {
namespace {

struct Known {
    std::string_view path;
    Route route;
    std::string_view allow;
};

constexpr Known kModelRoutes[] = {
    {"/chat/completions", Route::chat, "POST"},
    {"/completions", Route::completions, "POST"},
    {"/embeddings", Route::embeddings, "POST"},
    {"/responses", Route::responses, "POST"},
    {"/moderations", Route::moderations, "POST"},
    {"/audio/transcriptions", Route::transcription, "POST"},
    {"/audio/translations", Route::transcription, "POST"},
    {"/audio/speech", Route::speech, "POST"},
    {"/images/generations", Route::images, "POST"},
    {"/images/edits", Route::images, "POST"},
    {"/images/variations", Route::images, "POST"},
    {"/models", Route::models, "GET"},
};

constexpr Known kOwnRoutes[] = {
    {"/__ledger", Route::ledger, "GET, DELETE"},
    {"/__script", Route::script, "GET, POST, DELETE"},
    {"/__last", Route::last, "GET"},
    {"/__echo", Route::echo, "POST"},
    {"/__health", Route::health, "GET"},
};

// Takes `prefix` and the path segment behind it off the front; returns that segment.
std::string_view take_segment(std::string_view& path, std::string_view prefix) noexcept {
    if (!path.starts_with(prefix)) return {};
    const std::string_view rest = path.substr(prefix.size());
    const std::size_t slash = rest.find('/');
    if (slash == 0 || slash == std::string_view::npos) return {};
    path = rest.substr(slash);
    return rest.substr(0, slash);
}

}  // namespace

Routed route(std::string_view path) noexcept {
    for (const Known& known : kOwnRoutes) {
        if (path == known.path) return {known.route, {}, known.allow};
    }
    std::string_view deployment = take_segment(path, "/openai/deployments/");
    if (deployment.empty()) deployment = take_segment(path, "/engines/");
    if (path.starts_with("/v1/")) path.remove_prefix(3);
    for (const Known& known : kModelRoutes) {
        if (path == known.path) return {known.route, deployment, known.allow};
    }
    if (path.starts_with("/models/") && path.size() > 8) return {Route::models, {}, "GET"};
    return {};
}

bool asks_model(Route route) noexcept {
    return route >= Route::chat && route <= Route::images;
}

bool allows(std::string_view allow, std::string_view method) noexcept {
    while (!allow.empty()) {
        const std::size_t comma = allow.find(", ");
        if (allow.substr(0, comma) == method) return true;
        if (comma == std::string_view::npos) return false;
        allow.remove_prefix(comma + 2);
    }
    return false;
}

}  // namespace weir::fake_server
