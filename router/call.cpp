#include "router/call.hpp"

#include <array>

#include "router/router.hpp"
#include "shm/health.hpp"

namespace weir::router {
namespace {

ApiError unknown_model(std::string_view model) {
    ApiError error;
    error.status = 400;
    error.type = "invalid_request_error";
    error.param = "model";
    error.message = "Invalid model name passed in model=" + std::string(model) +
                    ". Call `/v1/models` to view available models.";
    return error;
}

ApiError no_answer(TransportError failure, const Deployment& deployment) {
    const bool late = failure == TransportError::connect_timeout ||
                      failure == TransportError::first_byte_timeout ||
                      failure == TransportError::stalled;
    ApiError error;
    error.status = late ? 504 : 502;
    error.type = late ? "timeout_error" : "api_connection_error";
    error.message = std::string(to_string(failure)) + ". Deployment=" + deployment.config().id;
    return error;
}

}  // namespace

Call::Call(Router& router, const Request& request) : router_(router), request_(request) {
    const RequestFacts& facts = *request.facts;
    size_ = {facts.prompt_bytes, facts.max_tokens, facts.n, request.generates};
}

Call::~Call() {
    if (placement_.deployment && !settled_) settle(TransportError::broken);
}

Task<void> Call::start() {
    const std::string& model = request_.facts->model;
    if (!router_.knows(model)) {
        error_ = unknown_model(model);
        co_return;
    }
    started_ = shm::now();
    learned_ = shm::learned(router_.learning_of(model));
    bill_ = Bill::estimate(size_, learned_);
    NoPlace refusal;
    placement_ = place(router_.segment_, router_.participant_, router_.candidates(model, request_.facts->stream, started_),
                       request_.caller, bill_, started_, refusal);
    if (!placement_.deployment) {
        error_ = to_error(refusal, model);
        co_return;
    }
    if (const TransportError failure = co_await send(); failure != TransportError::none) {
        settle(failure);
        error_ = no_answer(failure, *placement_.deployment);
        co_return;
    }
    read_answer();
}

Task<TransportError> Call::send() {
    const Deployment& deployment = *placement_.deployment;
    const SplicedBody body =
        splice(request_.body, *request_.facts, deployment.model_json(), false);
    std::string head;
    deployment.append_head(request_.endpoint, request_.content_type, body.bytes(), head);
    std::array<asio::const_buffer, 1 + 20> pieces;
    std::size_t count = 0;
    pieces[count++] = asio::buffer(head);
    for (const std::string_view piece : body.pieces()) pieces[count++] = asio::buffer(piece);

    exchange_.emplace(deployment.upstream());
    if (aborted_) co_return TransportError::closed;
    co_return co_await exchange_->start({pieces.data(), count},
                                        started_ + router_.config_.weir.upstream_timeout);
}

Task<TransportError> Call::next() {
    const TransportError failure =
        co_await exchange_->next(shm::now() + router_.config_.weir.upstream_timeout);
    if (failure == TransportError::none) {
        read_answer();
    } else {
        settle(failure);
    }
    co_return failure;
}

void Call::abort() noexcept {
    aborted_ = true;
    if (exchange_) exchange_->abort();
}

/// Looks through what has come of the answer; settles when it has ended.
void Call::read_answer() {
    if (!scanner_) {
        const std::string_view type = exchange_->fields().get("content-type");
        const bool events = type.substr(0, 17) == "text/event-stream";
        scanner_.emplace(events ? AnswerKind::events : AnswerKind::json);
    }
    for (const asio::const_buffer& piece : exchange_->pieces()) {
        scanner_->feed({static_cast<const char*>(piece.data()), piece.size()});
    }
    if (first_byte_ == shm::Nanos{} && !exchange_->pieces().empty()) first_byte_ = shm::now();
    if (exchange_->done()) settle(TransportError::none);
}

/// Replaces the estimate by what the request has really cost, as far as that is known.
void Call::settle(TransportError outcome) {
    settled_ = true;
    const shm::Nanos now = shm::now();
    Deployment& deployment = *placement_.deployment;
    if (outcome != TransportError::none && !may_have_arrived(outcome)) {
        placement_.ticket.cancel(now);
        shm::record_failure(deployment.health(), now);
        return placement_.ticket.close();
    }
    const bool answered = outcome == TransportError::none && exchange_->status() < 400;
    const Costs& reserved = bill_.deployment[static_cast<std::size_t>(deployment.cost_policy())];
    placement_.settle(request_.caller, cost_of(CostPolicy::sum, bill_.caller.reserve, answered),
                      cost_of(deployment.cost_policy(), reserved.reserve, answered), now);
    placement_.ticket.close();
    if (answered) {
        shm::record_success(deployment.health(), now, now - started_, first_byte_ - started_);
        learn();
    } else {
        shm::record_failure(deployment.health(), now);
    }
}

/// An upstream's refusal costs no tokens; an answer costs what it says, or else what may have been
/// used.
Estimate Call::cost_of(CostPolicy policy, const Estimate& reserved, bool answered) const {
    const bool refused = !answered && exchange_ && exchange_->done() && exchange_->status() >= 400;
    if (refused) return {};
    if (scanner_ && scanner_->usage()) return exact_cost(*scanner_->usage(), size_, policy);
    Seen seen;
    if (scanner_) seen = {scanner_->content_events(), scanner_->content_bytes()};
    return interrupted_cost(reserved, size_, seen, learned_, policy);
}

void Call::learn() const {
    const auto usage = scanner_->usage();
    if (!usage) return;
    shm::learn(router_.learning_of(request_.facts->model),
               {size_.prompt_bytes, usage->prompt_tokens, usage->completion_tokens});
}

}  // namespace weir::router
