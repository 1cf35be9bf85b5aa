#include "router/deployment.hpp"

#include <fmt/format.h>

#include "router/request.hpp"

namespace weir::router {
namespace {

/// Room for what usually stands in a head besides the fixed fields.
constexpr std::size_t kVaryingBytes = 256;

}  // namespace

Deployment::Deployment(const DeploymentConfig& config, const WeirSettings& settings,
                       shm::Segment& segment, const Url& url, Upstream& upstream)
    : config_(config),
      upstream_(upstream),
      model_json_(json_string(config.model)),
      wildcard_(config.model.find('*') != std::string::npos),
      form_(config, url) {
    const auto limit = [&](shm::Unit unit, const std::optional<std::uint64_t>& units) {
        if (units) scopes_.push_back({"deployment", config_.id, unit, settings.window, *units, {}});
    };
    limit(shm::Unit::requests, config_.rpm);
    limit(shm::Unit::tokens, config_.tpm);
    limit(shm::Unit::input_tokens, config_.itpm);
    limit(shm::Unit::output_tokens, config_.otpm);
    look_up(segment);
    fixed_fields_ = fmt::format("host: {}\r\n{}user-agent: weir\r\naccept: */*\r\naccept-encoding: identity\r\n",
                                authority(url), form_.fields());  // identity: usage must be readable
}

void Deployment::look_up(shm::Segment& segment) {
    for (Scope& scope : scopes_) scope.look_up(segment);
    in_flight_ = segment.gauge("deployment", config_.id, config_.max_parallel_requests.value_or(0));
    health_ = segment.health("deployment", config_.id);
}

void Deployment::append_head(const Head& head, std::string& out) const {
    out.reserve(out.size() + fixed_fields_.size() + kVaryingBytes);
    out += "POST ";
    form_.append_target(head.endpoint, head.part, out);
    const fmt::format_int length(head.body_bytes);
    out.append(" HTTP/1.1\r\n").append(fixed_fields_);
    out.append("content-type: ").append(head.content_type);
    out.append("\r\ncontent-length: ").append(length.data(), length.size()).append("\r\n");
    if (!head.request_id.empty()) out.append("x-request-id: ").append(head.request_id).append("\r\n");
    out += "\r\n";
}

}  // namespace weir::router
