#include "router/router.hpp"

#include <algorithm>

#include "router/call.hpp"

namespace weir::router {
namespace {

shm::SegmentOptions segment_options(const WeirSettings& settings) {
    shm::SegmentOptions options;
    options.name = settings.segment;
    options.size_bytes = settings.segment_size;
    return options;
}

std::uint64_t seed_or_random(std::uint64_t seed) {
    if (seed != 0) return seed;
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
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
      random_(seed_or_random(options.seed)) {
    for (const DeploymentConfig& entry : config_.model_list) {
        std::string ignored;  // the configuration has checked it
        const Url url = parse_url(entry.api_base, ignored).value();
        deployments_.push_back(
            std::make_unique<Deployment>(entry, config_.weir, segment_, url, upstream_for(url)));
        groups_[entry.model_name].push_back(deployments_.back().get());
    }
    pulse_.on_beat([this, next = shm::Nanos{}](shm::Nanos now) mutable {
        if (now < next) return;
        next = now + kReapEvery;
        participant_.reap(now);
    });
}

Router::~Router() = default;

void Router::start() { pulse_.start(); }

void Router::stop() noexcept { pulse_.stop(); }

Upstream& Router::upstream_for(const Url& url) {
    auto& upstream = upstreams_[(url.tls ? "https://" : "http://") + authority(url)];
    if (!upstream) upstream = std::make_unique<Upstream>(io_, pulse_, url, UpstreamSettings{});
    return *upstream;
}

std::vector<std::string> Router::models() const {
    std::vector<std::string> names;
    for (const auto& [name, group] : groups_) names.push_back(name);
    return names;
}

std::span<Deployment* const> Router::candidates(std::string_view model) {
    const Group& group = groups_.find(model)->second;
    order_.assign(group.begin(), group.end());
    std::shuffle(order_.begin(), order_.end(), random_);
    return order_;
}

Task<Reply> Router::complete(std::string body, std::string endpoint) {
    Reply reply;
    reply.content_type = "application/json";
    const auto read = reader_.read(body);
    if (const auto* bad = std::get_if<BadRequest>(&read)) {
        reply.status = 400;
        reply.body = to_json({400, bad->message, "invalid_request_error", std::string(bad->param), {}});
        co_return reply;
    }
    Request request;
    request.endpoint = endpoint;
    request.body = body;
    request.facts = &std::get<RequestFacts>(read);
    Call call(*this, request);
    co_await call.start();
    if (call.deployment()) reply.deployment_id = call.deployment()->config().id;
    while (!call.error()) {
        for (const asio::const_buffer& piece : call.answer().pieces()) {
            reply.body.append(static_cast<const char*>(piece.data()), piece.size());
        }
        if (call.answer().done()) {
            reply.status = call.answer().status();
            reply.content_type = call.answer().fields().get("content-type");
            co_return reply;
        }
        if (const auto failure = co_await call.next(); failure != TransportError::none) {
            reply.status = 502;
            reply.body = to_json({502, std::string(to_string(failure)), "api_connection_error", {}, {}});
            co_return reply;
        }
    }
    reply.status = call.error()->status;
    reply.body = to_json(*call.error());
    co_return reply;
}

}  // namespace weir::router
