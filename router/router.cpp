#include "router/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "router/call.hpp"
#include "router/feedback.hpp"
#include "router/multipart.hpp"
#include "router/random.hpp"
#include "router/wall_clock.hpp"
#include "router/wildcard.hpp"

namespace weir::router {
namespace {

shm::SegmentOptions segment_options(const WeirSettings& settings) {
    shm::SegmentOptions options;
    options.name = settings.segment;
    options.size_bytes = settings.segment_size;
    return options;
}

Reply to_reply(const ApiError& error) {
    Reply reply;
    reply.status = error.status;
    reply.body = to_json(error);
    reply.content_type = "application/json";
    reply.retry_after = error.retry_after;
    return reply;
}

/// What there is to tell of a call, however it ended.
Reply with_story(const Call& call, Reply reply) {
    if (call.deployment()) reply.deployment_id = call.deployment()->config().id;
    reply.group = call.group();
    reply.usage = call.usage();
    reply.effort = call.effort();
    return reply;
}

Reply to_reply(const Call& call, const ApiError& error) { return with_story(call, to_reply(error)); }

Reply to_reply(const Call& call, std::string text) {
    Reply reply;
    reply.status = call.answer().status();
    reply.body = std::move(text);
    reply.fields = call.answer().fields();
    reply.content_type = reply.fields.get("content-type");
    reply.retry_after = read_feedback(reply.fields, unix_now()).retry_after;
    return with_story(call, std::move(reply));
}

/// Dead processes are looked for this often; their share of the in-flight gauges is then free.
constexpr shm::Nanos kReapEvery = std::chrono::milliseconds(250);

}  // namespace

Router::Router(asio::io_context& io, const RouterConfig& config, const RouterOptions& options)
    : io_(io),
      config_(config),
      segment_(shm::Segment::open(segment_options(config.weir))),
      participant_(segment_.join(options.role)),
      pulse_(io),
      random_(options.seed != 0 ? options.seed : random_seed()),
      wait_room_(io, segment_, participant_, config_.weir.queue.max_depth),
      log_(options.log) {
    if (config_.weir.redis.enabled()) {
        segment_.set_shared(true);
        coordination_ = std::make_shared<Coordination>(io_, pulse_, segment_, config_.weir);
    }
    for (const DeploymentConfig& entry : config_.model_list) {
        std::string ignored;  // the configuration has checked it
        const Url url = parse_url(entry.api_base, ignored).value();
        deployments_.push_back(
            std::make_unique<Deployment>(entry, config_, segment_, url, upstream_for(url)));
        groups_[entry.model_name].deployments.push_back(deployments_.back().get());
    }
    for (const auto& deployment : deployments_) {
        auto [by_id, made] = groups_.try_emplace(deployment->config().id);
        if (made) by_id->second = {{}, {deployment.get()}, {}, false, false};
    }
    index_groups();
    strategy_ = config_.strategy;
    pulse_.on_beat([this, next = shm::Nanos{}](shm::Nanos now) mutable {
        if (now < next) return;
        next = now + kReapEvery;
        participant_.reap(now);
    });
}

/// Those who have handed over to it may still have the coordination.
Router::~Router() {
    if (coordination_) coordination_->stop();
}

void Router::index_groups() {
    for (auto& [name, group] : groups_) {
        group.name = name;
        group.learning = segment_.health("model", name);
        if (name.find('*') == std::string::npos) continue;
        group.listed = false;  // nobody can ask for it by this name
        wildcards_.push_back(&group);
    }
    std::stable_sort(wildcards_.begin(), wildcards_.end(), [](const Group* a, const Group* b) {
        return a->name.size() > b->name.size();
    });
}

void Router::start() {
    pulse_.start();
    if (coordination_) coordination_->start();
}

void Router::stop() noexcept {
    pulse_.stop();
    if (coordination_) coordination_->stop();
}

Task<void> Router::leave(shm::Nanos deadline) {
    if (coordination_) co_await coordination_->leave(deadline);
}

void Router::hand_over(Router& next) {
    // In another segment is another host: this one remains until its last request has ended.
    if (!coordination_ || config_.weir.segment != next.config_.weir.segment) return;
    if (next.coordination_) {
        coordination_->hand_over(next.coordination_);
    } else {
        coordination_->stop();
    }
}

Upstream& Router::upstream_for(const Url& url) {
    auto& upstream = upstreams_[(url.tls ? "https://" : "http://") + authority(url)];
    if (!upstream) upstream = std::make_unique<Upstream>(io_, pulse_, url, config_.weir.upstream);
    return *upstream;
}

std::vector<std::string> Router::models() const {
    std::vector<std::string> names;
    for (const auto& [name, group] : groups_) {
        if (group.listed) names.push_back(name);
    }
    for (const auto& [name, alias] : config_.model_group_alias) {
        if (!alias.hidden) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::string_view Router::resolve(std::string_view model) const {
    const Target target = find(model);
    if (target.group == nullptr) return {};
    if (target.group->by_tags) return target.group->name;
    // Who names a deployment asks for a part of its group, and what holds for the group holds for that, too.
    return target.group->deployments.front()->config().model_name;
}

std::string_view Router::meaning(std::string_view model) const {
    if (find(model).group == nullptr) return {};
    const auto alias = config_.model_group_alias.find(model);
    return alias != config_.model_group_alias.end() ? std::string_view(alias->second.group) : model;
}

Router::Target Router::find(std::string_view model) const {
    if (model.empty()) return {};  // a group named * would take it
    if (const auto alias = config_.model_group_alias.find(model); alias != config_.model_group_alias.end()) {
        model = alias->second.group;
    }
    if (const auto group = groups_.find(model); group != groups_.end()) return {&group->second, {}};
    for (const Group* group : wildcards_) {
        if (const auto part = wildcard_match(group->name, model)) return {group, *part};
    }
    return {};
}

Router::Asked Router::candidates(const Asking& asking, shm::Nanos now) {
    const auto& deployments = asking.group.deployments;
    const auto allowed = [&](const Deployment* deployment) {
        return asking.tags.allows(deployment->config().tags);
    };
    const auto serves = [&](const Deployment* deployment) {
        return allowed(deployment) && takes(*deployment, asking.input_tokens);
    };
    snapshots_.clear();
    for (Deployment* deployment : deployments) snapshots_.push_back(snapshot(*deployment, now));
    const auto ordered = chooser_.order(snapshots_, {strategy_, config_.latency_buffer, asking.stream},
                                        RandomSource(random_));
    order_.clear();
    for (const std::uint32_t index : ordered.all.first(ordered.healthy)) {
        if (serves(deployments[index])) order_.push_back(deployments[index]);
    }
    if (order_.empty()) {
        const bool untagged = std::none_of(deployments.begin(), deployments.end(), allowed);
        const bool too_long = !untagged && std::none_of(deployments.begin(), deployments.end(), serves);
        return {order_, too_long, untagged};
    }
    const auto& last = asking.last_choice;
    if (last.empty()) return {order_};
    std::stable_partition(order_.begin(), order_.end(), [&](const Deployment* deployment) {
        return std::find(last.begin(), last.end(), deployment) == last.end();
    });
    return {order_};
}

/// Reads of the segment only what the strategy looks at.
Candidate Router::snapshot(Deployment& deployment, shm::Nanos now) const {
    const DeploymentConfig& config = deployment.config();
    Candidate candidate;
    candidate.weight = config.weight;
    candidate.rpm = config.rpm;
    candidate.tpm = config.tpm;
    candidate.order = config.order;
    candidate.cost = config.cost();
    candidate.cooling = shm::cooldown_until(deployment.health()) > now;
    if (strategy_ == Strategy::least_busy) {
        candidate.in_flight = participant_.in_flight(deployment.in_flight());
    }
    if (strategy_ == Strategy::usage_based) {
        const Scope* count = deployment.token_count();
        if (count != nullptr) candidate.used_tokens = participant_.look(count->limiter, now).used;
    }
    if (strategy_ == Strategy::latency_based) {
        const auto health = shm::read_health(deployment.health(), now, config_.latency_memory);
        candidate.latency = health.latency_avg;
        candidate.ttft = health.ttft_avg;
    }
    return candidate;
}

shm::Nanos Router::cooled_down_at(const Group& group, const TagFilter& tags) const {
    shm::Nanos soonest = kNever;
    for (const Deployment* deployment : group.deployments) {
        if (!tags.allows(deployment->config().tags)) continue;
        soonest = std::min(soonest, shm::cooldown_until(deployment->health()));
    }
    return soonest;
}

Task<Reply> Router::complete(std::string body, CompleteOptions options) {
    const bool form = is_form(options.content_type);
    const auto read = form ? read_form(body, options.content_type) : reader_.read(body);
    if (const auto* bad = std::get_if<BadRequest>(&read)) co_return to_reply(to_error(*bad));
    Request request;
    request.endpoint = options.endpoint;
    request.body = body;
    request.facts = &std::get<RequestFacts>(read);
    request.generates = generates_text(options.endpoint);
    request.request_id = options.request_id;
    request.caller = options.caller;
    request.max_wait = options.max_wait;
    Call call(*this, request);
    co_await call.start();
    std::string text;
    while (!call.error()) {
        for (const asio::const_buffer& piece : call.pieces()) {
            text.append(static_cast<const char*>(piece.data()), piece.size());
        }
        if (call.answer().done()) co_return to_reply(call, std::move(text));
        if (const auto failure = co_await call.next(); failure != TransportError::none) {
            co_return to_reply(call, broken_off(failure));
        }
    }
    co_return to_reply(call, *call.error());
}

void Router::note_failure(std::string_view text) {
    if (!log_) return;
    if (const auto line = failures_.note(text, shm::now())) log_(*line);
}

}  // namespace weir::router
