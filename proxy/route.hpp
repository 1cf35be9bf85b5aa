// Which of the proxy's endpoints a request line names.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weir::proxy {

enum class Endpoint : std::uint8_t {
    forward,              ///< a request that goes to a deployment
    models,               ///< GET /v1/models
    model,                ///< GET /v1/models/{id}
    model_info,           ///< GET /model/info
    model_group_info,     ///< GET /model_group/info
    metrics,              ///< GET /metrics
    health,               ///< GET /health
    liveliness,           ///< GET /health/liveliness
    readiness,            ///< GET /health/readiness
    not_found,            ///< 404
    unserved,             ///< LiteLLM has it and Weir has not: 404; Route::why says so
    method_not_allowed,   ///< 405; Route::allow says what is
};

struct Route {
    Endpoint endpoint = Endpoint::not_found;
    std::string_view upstream_path{};  ///< of forward: below api_base, as "/chat/completions"
    std::string model{};             ///< named by the path, percent-decoded; empty if it is not
    bool queued = false;             ///< of forward: waits for capacity instead of being refused
    std::string_view allow{};        ///< of method_not_allowed: "GET" or "POST"
    std::string_view why{};          ///< of unserved
};

/// Endpoints of LiteLLM's that are not served, by what their path begins with (without /v1), and why not.
struct Unserved {
    std::string_view begins;
    std::string_view why;
};
std::span<const Unserved> unserved_endpoints() noexcept;

/// Whether it is answered without asking for a key.
bool is_open(Endpoint endpoint) noexcept;

/// `target` as it stands in the request line; its query is not looked at.
Route find_route(std::string_view method, std::string_view target);

}  // namespace weir::proxy
