#include "router/deployment.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "router/json_text.hpp"

namespace weir::router {
namespace {

/// Room for what usually stands in a head besides the fixed fields.
constexpr std::size_t kVaryingBytes = 256;

}  // namespace

Deployment::Deployment(const DeploymentConfig& config, const RouterConfig& general,
                       shm::Segment& segment, const Url& url, Upstream& upstream)
    : config_(config),
      upstream_(upstream),
      hold_{"deployment", config.id, general.max_parallel_of(config).value_or(0), false, {}},
      model_json_(json_string(config.model)),
      wildcard_(config.model.find('*') != std::string::npos),
      form_(config, url) {
    const auto limit = [&](shm::Unit unit, const std::optional<std::uint64_t>& units) {
        if (units) scopes_.push_back({"deployment", config_.id, unit, general.weir.window, *units, {}});
    };
    limit(shm::Unit::requests, config_.rpm);
    limit(shm::Unit::tokens, config_.tpm);
    limit(shm::Unit::input_tokens, config_.itpm);
    limit(shm::Unit::output_tokens, config_.otpm);
    share_by(general.priorities);
    if (general.strategy == Strategy::usage_based) count_tokens(general.weir.window);
    look_up(segment);
    // identity: usage must be readable
    fixed_fields_ = fmt::format(
        "host: {}\r\n{}user-agent: weir\r\naccept: */*\r\naccept-encoding: identity\r\n", authority(url),
        form_.fields());
}

void Deployment::share_by(const PrioritySettings& priorities) {
    if (priorities.shares.empty()) return;
    const auto add = [&](const std::string& priority, double part) {
        Share& share = shares_[priority];
        share.rule = {part, priorities.saturation_threshold};
        for (Scope scope : scopes_) {
            scope.kind = "share";
            scope.name += ":" + priority;
            scope.limit = kOnlyCounts;
            scope.local = true;
            share.scopes.push_back(std::move(scope));
        }
    };
    add("", priorities.default_share);
    for (const auto& [priority, part] : priorities.shares) add(priority, part);
}

/// Without a limit on tokens, or with one under which nothing is charged, nobody would know what it has used,
/// and it would look idle for ever.
void Deployment::count_tokens(shm::Nanos window) {
    if (config_.tpm && config_.cost_policy != CostPolicy::split) return;
    tally_ = Scope{"tally", config_.id, shm::Unit::tokens, window, kOnlyCounts, {}, true};
}

const Scope* Deployment::token_count() const noexcept {
    if (tally_) return &*tally_;
    const auto limit = std::find_if(scopes_.begin(), scopes_.end(),
                                    [](const Scope& scope) { return scope.unit == shm::Unit::tokens; });
    return limit == scopes_.end() ? nullptr : &*limit;
}

Deployment::Share* Deployment::share(std::string_view priority) noexcept {
    if (shares_.empty()) return nullptr;
    const auto own = shares_.find(priority);
    return own != shares_.end() ? &own->second : &shares_.begin()->second;  // "" comes first
}

const Deployment::Share* Deployment::share(std::string_view priority) const noexcept {
    return const_cast<Deployment*>(this)->share(priority);
}

void Deployment::look_up(shm::Segment& segment) {
    for (Scope& scope : scopes_) scope.look_up(segment);
    for (auto& [priority, share] : shares_) {
        for (Scope& scope : share.scopes) scope.look_up(segment);
    }
    if (tally_) tally_->look_up(segment);
    hold_.look_up(segment);
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
