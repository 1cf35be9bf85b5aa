#include "router/call.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "router/feedback.hpp"
#include "router/router.hpp"
#include "shm/health.hpp"

namespace weir::router {
namespace {

constexpr std::string_view kChatEndpoint = "/chat/completions";
constexpr std::string_view kEventStream = "text/event-stream";

ApiError unknown_model(std::string_view model) {
    ApiError error;
    error.status = 400;
    error.type = "invalid_request_error";
    error.param = "model";
    error.message = "Invalid model name passed in model=" + std::string(model) +
                    ". Call `/v1/models` to view available models.";
    return error;
}

shm::Nanos unix_now() {
    return std::chrono::duration_cast<shm::Nanos>(
        std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace

Call::Call(Router& router, const Request& request)
    : router_(router), request_(request) {
    const RequestFacts& facts = *request.facts;
    size_ = {facts.prompt_bytes, facts.max_tokens, facts.n, request.generates};
}

Call::~Call() {
    if (!settled_) finish(false);
}

Task<void> Call::start() {
    group_ = router_.resolve(request_.facts->model);
    if (group_.empty()) {
        error_ = unknown_model(request_.facts->model);
        co_return;
    }
    started_ = shm::now();
    const std::string_view first_group = group_;
    for (;;) {
        const Outcome outcome = co_await try_group();
        if (outcome.ok() || aborted_ || caller_refused_) break;
        if (!plan_) plan_.emplace(router_.config_.fallbacks, first_group);
        const std::string_view next = router_.resolve(plan_->next(group_, outcome.kind));
        if (next.empty()) break;
        leave_deployment(outcome.counted);
        group_ = next;
        ++effort_.fallbacks;
    }
    if (exchange_ && !error_) read_pieces();
}

/// Attempts at the deployments of one group until one answers or no retry is left. On failure
/// error_ says why, unless the failure is an upstream's own answer.
Task<Outcome> Call::try_group() {
    const RetryRules rules = router_.retry_rules(group_, *request_.facts);
    learned_ = shm::learned(router_.learning_of(group_));
    bill_ = Bill::estimate(size_, learned_);
    for (std::uint32_t retries = 0;; ++retries) {
        error_.reset();
        if (!find_place()) co_return Outcome{Kind::rate_limited, Source::none, Retry::no, false};
        const Outcome outcome = co_await attempt();
        if (outcome.ok() || aborted_) co_return outcome;

        std::optional<shm::Nanos> retry_after;
        if (transport_ == TransportError::none) {
            const Feedback feedback = read_feedback(exchange_->fields(), unix_now());
            retry_after = feedback.retry_after ? feedback.retry_after : exhausted_for(feedback);
        }
        count_failure(outcome, retry_after);
        const bool fallback = router_.has_fallback(group_, outcome.kind);
        const FailedAttempt failed{outcome, retries, others_available(), fallback};
        if (!may_retry(rules, failed)) co_return outcome;
        leave_deployment(outcome.counted);
        ++effort_.retries;
        co_await pause(retry_delay(rules, failed, retry_after, RandomSource(router_.random_)));
        if (aborted_) co_return outcome;
    }
}

/// One request to one deployment, until the head of its answer, or more if that is a refusal whose
/// reason stands in the body.
Task<Outcome> Call::attempt() {
    transport_ = co_await send();
    if (transport_ == TransportError::none && exchange_->status() / 100 == 4 &&
        exchange_->pieces().empty() && !exchange_->done()) {
        transport_ = co_await exchange_->next(attempted_ + patience());
    }
    if (transport_ != TransportError::none) {
        const Outcome outcome = classify(transport_);
        fail(outcome, transport_);
        co_return outcome;
    }
    std::string_view snippet;
    if (exchange_->status() >= 400 && !exchange_->pieces().empty()) {
        const asio::const_buffer& piece = exchange_->pieces().front();
        snippet = {static_cast<const char*>(piece.data()), piece.size()};
    }
    const Outcome outcome = classify(exchange_->status(), snippet);
    if (outcome.ok()) heed_quota();
    co_return outcome;
}

/// Asks the deployments of the group for room; error_ says why there is none.
bool Call::find_place() {
    attempted_ = shm::now();
    NoPlace refusal;
    // The caller's limits are charged once, by the first attempt.
    const CallerLimits caller = callers_ ? CallerLimits{} : request_.caller;
    const auto candidates = router_.candidates(group_, request_.facts->stream, attempted_);
    if (candidates.empty()) {
        error_ = router_.all_cooling(group_, attempted_);
        return false;
    }
    placement_ = place(router_.segment_, router_.participant_, candidates, caller, bill_, attempted_,
                       refusal);
    if (placement_.deployment) return true;
    caller_refused_ = refusal.callers;
    error_ = to_error(refusal, group_);
    return false;
}

Task<TransportError> Call::send() {
    const Deployment& deployment = *placement_.deployment;
    // The usage of a stream comes only on demand; without it nothing could be settled.
    asked_usage_ = request_.facts->stream && !request_.facts->include_usage &&
                   request_.endpoint == kChatEndpoint;
    const SplicedBody body =
        splice(request_.body, *request_.facts,
               request_.json ? deployment.model_json() : std::string_view(deployment.config().model),
               asked_usage_);
    std::string head;
    deployment.append_head(request_.endpoint, request_.content_type, request_.request_id,
                           body.bytes(), head);
    std::array<asio::const_buffer, 1 + SplicedBody::kPiecesMax> pieces;
    std::size_t count = 1;
    for (const std::string_view piece : body.pieces()) pieces[count++] = asio::buffer(piece);
    pieces[0] = asio::buffer(head);

    scanner_.reset();
    stripper_.reset();
    first_byte_ = {};
    exchange_.emplace(deployment.upstream());
    const auto failure = co_await exchange_->start({pieces.data(), count}, attempted_ + patience());
    answered_ = shm::now();
    co_return failure;
}

/// How long this deployment may take for each step of its answer.
shm::Nanos Call::patience() const {
    const DeploymentConfig& config = placement_.deployment->config();
    const auto& facts = *request_.facts;
    if (facts.timeout_seconds) {
        return std::chrono::duration_cast<shm::Nanos>(std::chrono::duration<double>(
            std::min(*facts.timeout_seconds, 86400.0)));
    }
    const RouterConfig& general = router_.config_;
    if (facts.stream && config.stream_timeout) return *config.stream_timeout;
    if (config.timeout) return *config.timeout;
    if (facts.stream && general.stream_timeout) return *general.stream_timeout;
    return general.timeout.value_or(general.weir.upstream_timeout);
}

/// Every process sees the failure, and the cooldown if there is to be one, at once.
void Call::count_failure(const Outcome& outcome, std::optional<shm::Nanos> retry_after) {
    const shm::Health health = placement_.deployment->health();
    const shm::Nanos now = shm::now();
    Failure failure;
    failure.outcome = outcome;
    failure.failures = shm::record_failure(health, now);
    failure.successes = shm::read_health(health, now).successes;
    failure.only_one = router_.groups_.find(group_)->second.deployments.size() == 1;
    failure.retry_after = retry_after;
    CooldownRules rules = router_.config_.cooldowns;
    rules.deployment_cooldown_time = placement_.deployment->config().cooldown_time;
    if (const auto duration = cooldown_for(rules, failure)) shm::set_cooldown(health, now + *duration);
}

/// What the upstream says is left of its quota counts everybody who uses it. Where that is less than
/// what is left by our count, somebody else has used the difference.
void Call::heed_quota() {
    const Fields& fields = exchange_->fields();
    if (!fields.has("x-ratelimit-remaining-requests") && !fields.has("x-ratelimit-remaining-tokens") &&
        !fields.has("anthropic-ratelimit-requests-remaining")) {
        return;
    }
    const Feedback feedback = read_feedback(fields, unix_now());
    const shm::Nanos now = shm::now();
    const auto heed = [&](const Scope& scope, const Quota& quota) {
        if (!quota.remaining) return;
        const shm::LimiterUsage usage = router_.participant_.usage(scope.limiter, now);
        if (usage.remaining > *quota.remaining) {
            router_.participant_.charge(scope.limiter, usage.remaining - *quota.remaining, now);
        }
    };
    for (const Scope& scope : placement_.deployment->scopes()) {
        switch (scope.unit) {
            case shm::Unit::requests: heed(scope, feedback.requests); break;
            case shm::Unit::tokens: heed(scope, feedback.tokens); break;
            case shm::Unit::input_tokens: heed(scope, feedback.input_tokens); break;
            case shm::Unit::output_tokens: heed(scope, feedback.output_tokens); break;
        }
    }
    if (const auto duration = exhausted_for(feedback)) {
        shm::set_cooldown(placement_.deployment->health(), now + *duration);
    }
}

bool Call::others_available() const {
    const shm::Nanos now = shm::now();
    const auto& deployments = router_.groups_.find(group_)->second.deployments;
    return std::any_of(deployments.begin(), deployments.end(), [&](const Deployment* other) {
        return other != placement_.deployment && shm::cooldown_until(other->health()) <= now;
    });
}

void Call::fail(const Outcome& outcome, TransportError transport) {
    ApiError error;
    error.status = client_status(outcome.kind, 0);
    error.type = std::string(error_type(outcome.kind));
    error.message = std::string(to_string(transport)) + ". Deployment=" +
                    placement_.deployment->config().id;
    error_ = std::move(error);
}

/// Before another deployment is asked: what this one was charged is settled, what the caller was
/// charged is kept.
void Call::leave_deployment(bool arrived) {
    if (!placement_.deployment) return;
    const shm::Nanos now = shm::now();
    const std::size_t callers = placement_.callers;
    placement_.settle_deployment(arrived, cost_of(placement_.deployment->cost_policy(),
                                                  placement_.reserved(bill_)), now);
    if (callers > 0 || !request_.caller.holds.empty()) {
        placement_.ticket.release(request_.caller.holds.size());
        callers_ = std::move(placement_.ticket);
    } else {
        placement_.ticket.close();
    }
    placement_ = {};
    exchange_.reset();
    scanner_.reset();
}

Task<void> Call::pause(shm::Nanos duration) {
    if (duration <= shm::Nanos{}) co_return;
    Timer timer(router_.io_);
    pausing_ = &timer;
    timer.expires_after(duration);
    co_await timer.async_wait(kAwait);
    pausing_ = nullptr;
}

Task<TransportError> Call::next() {
    const TransportError failure = co_await exchange_->next(shm::now() + patience());
    if (failure == TransportError::none) {
        read_pieces();
    } else {
        transport_ = failure;
        if (!aborted_) count_failure(classify(failure), std::nullopt);
        finish(false);
    }
    co_return failure;
}

void Call::abort() noexcept {
    aborted_ = true;
    if (exchange_) exchange_->abort();
    if (pausing_) pausing_->cancel();
}

/// Looks through what has come of the answer; settles when it has ended.
void Call::read_pieces() {
    if (!scanner_) begin_reading();
    pieces_.clear();
    stripped_.clear();
    for (const asio::const_buffer& piece : exchange_->pieces()) {
        const std::string_view bytes(static_cast<const char*>(piece.data()), piece.size());
        if (stripper_) {
            stripped_ += stripper_->feed(bytes);
        } else {
            scanner_->feed(bytes);
            pieces_.push_back(piece);
        }
    }
    if (stripper_ && exchange_->done()) stripped_ += stripper_->finish();
    if (!stripped_.empty()) pieces_.push_back(asio::buffer(stripped_));
    if (first_byte_ == shm::Nanos{} && !exchange_->pieces().empty()) first_byte_ = shm::now();
    if (exchange_->done()) finish(true);
}

void Call::begin_reading() {
    const std::string_view type = exchange_->fields().get("content-type");
    const bool events = type.substr(0, kEventStream.size()) == kEventStream;
    scanner_.emplace(events ? AnswerKind::events : AnswerKind::json);
    if (events && asked_usage_) stripper_.emplace(*scanner_);
}

std::int64_t Call::content_length() const noexcept {
    return stripper_ ? -1 : exchange_->content_length();
}

/// Replaces the estimates by what the request has really cost, as far as that is known.
void Call::finish(bool whole) {
    settled_ = true;
    const shm::Nanos now = shm::now();
    if (!placement_.deployment) {
        // Earlier attempts, if there were any, are settled; the caller got nothing for its charges.
        for (std::size_t i = 0; i < request_.caller.scopes.size() && callers_; ++i) {
            if (request_.caller.scopes[i]->unit != shm::Unit::requests) callers_.settle(i, 0, now);
        }
        return callers_.close();
    }
    const bool arrived = transport_ == TransportError::none || may_have_arrived(transport_);
    const bool answered = whole && exchange_->status() < 400;
    const Estimate for_caller = cost_of(CostPolicy::sum, bill_.caller.reserve);
    shm::Ticket& callers = callers_ ? callers_ : placement_.ticket;
    for (std::size_t i = 0; i < request_.caller.scopes.size(); ++i) {
        const shm::Unit unit = request_.caller.scopes[i]->unit;
        const bool free = unit == shm::Unit::requests && !arrived && effort_.retries == 0;
        callers.settle(i, free ? 0 : units_for(unit, for_caller), now);
    }
    placement_.settle_deployment(
        arrived, cost_of(placement_.deployment->cost_policy(), placement_.reserved(bill_)), now);
    placement_.ticket.close();
    callers_.close();
    if (!answered) return;
    shm::record_success(placement_.deployment->health(), now, now - attempted_, first_byte_ - attempted_);
    if (const auto usage = scanner_->usage()) {
        shm::learn(router_.learning_of(group_),
                   {size_.prompt_bytes, usage->prompt_tokens, usage->completion_tokens});
    }
}

/// An upstream's refusal, and a request that never reached it, cost no tokens; an answer costs what
/// it says, or else what may have been used.
Estimate Call::cost_of(CostPolicy policy, const Estimate& reserved) const {
    if (transport_ != TransportError::none && !may_have_arrived(transport_)) return {};
    if (transport_ == TransportError::none && exchange_ && exchange_->status() >= 400) return {};
    if (scanner_ && scanner_->usage()) return exact_cost(*scanner_->usage(), size_, policy);
    Seen seen;
    if (scanner_) seen = {scanner_->content_events(), scanner_->content_bytes()};
    return interrupted_cost(reserved, size_, seen, learned_, policy);
}

}  // namespace weir::router
