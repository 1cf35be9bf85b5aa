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

Call::Call(Router& router, const Request& request) : router_(router), request_(request) {}

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
    NoPlace refusal;
    placement_ = place(router_.segment_, router_.participant_, router_.candidates(model),
                       request_.caller, estimate_, started_, refusal);
    if (!placement_.deployment) {
        error_ = to_error(refusal, model);
        co_return;
    }
    if (const TransportError failure = co_await send(); failure != TransportError::none) {
        settle(failure);
        error_ = no_answer(failure, *placement_.deployment);
        co_return;
    }
    read_usage();
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
        read_usage();
    } else {
        settle(failure);
    }
    co_return failure;
}

void Call::abort() noexcept {
    aborted_ = true;
    if (exchange_) exchange_->abort();
}

void Call::read_usage() {
    if (exchange_->done()) settle(TransportError::none);
}

/// Replaces the estimate by what the request has really cost, as far as that is known.
void Call::settle(TransportError outcome) {
    settled_ = true;
    const shm::Nanos now = shm::now();
    const bool answered = outcome == TransportError::none && exchange_->status() < 400;
    if (outcome != TransportError::none && !may_have_arrived(outcome)) {
        placement_.ticket.cancel(now);
    }
    if (answered) {
        shm::record_success(placement_.deployment->health(), now, now - started_);
    } else {
        shm::record_failure(placement_.deployment->health(), now);
    }
    placement_.ticket.close();
}

}  // namespace weir::router
