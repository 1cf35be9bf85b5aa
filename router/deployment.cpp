#include "router/deployment.hpp"

#include <fmt/format.h>

#include <iterator>

#include "router/request.hpp"

namespace weir::router {

Deployment::Deployment(const DeploymentConfig& config, const WeirSettings& settings,
                       shm::Segment& segment, const Url& url, Upstream& upstream)
    : config_(config), upstream_(upstream), model_json_(json_string(config.model)) {
    const auto limit = [&](shm::Unit unit, const std::optional<std::uint64_t>& units) {
        if (units) scopes_.push_back({"deployment", config_.id, unit, settings.window, *units, {}});
    };
    limit(shm::Unit::requests, config_.rpm);
    limit(shm::Unit::tokens, config_.tpm);
    look_up(segment);

    path_ = url.path;
    fixed_fields_ = fmt::format(
        "host: {}\r\nauthorization: Bearer {}\r\nuser-agent: weir\r\naccept: */*\r\n"
        "accept-encoding: identity\r\n",  // usage must be readable on the way
        authority(url), config_.api_key);
}

void Deployment::look_up(shm::Segment& segment) {
    for (Scope& scope : scopes_) scope.look_up(segment);
    in_flight_ = segment.gauge("deployment", config_.id, 0);
    health_ = segment.health("deployment", config_.id);
}

void Deployment::append_head(std::string_view endpoint, std::string_view content_type,
                             std::size_t body_bytes, std::string& out) const {
    fmt::format_to(std::back_inserter(out),
                   "POST {}{} HTTP/1.1\r\n{}content-type: {}\r\ncontent-length: {}\r\n\r\n", path_,
                   endpoint, fixed_fields_, content_type, body_bytes);
}

}  // namespace weir::router
