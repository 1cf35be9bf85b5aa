// One request's life in the router: placed, sent, answered piece by piece, settled.
//
// Thread safety: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "router/api_error.hpp"
#include "router/exchange.hpp"
#include "router/placement.hpp"
#include "router/request.hpp"
#include "router/usage.hpp"

namespace weir::router {

class Router;

/// What is asked. Views must stay good until the Call is gone.
struct Request {
    std::string_view endpoint = "/chat/completions";  ///< below api_base
    std::string_view body;
    const RequestFacts* facts = nullptr;              ///< of `body`
    std::string_view content_type = "application/json";
    bool generates = true;  ///< false for embeddings and the like, which have no completion
    CallerLimits caller{};
};

class Call {
 public:
    Call(Router& router, const Request& request);
    ~Call();  ///< settles, whatever came of it
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// Until the head of an answer is there, or there will be none: then error() says why.
    Task<void> start();

    const ApiError* error() const noexcept { return error_ ? &*error_ : nullptr; }

    /// The answer, if there is no error.
    const Exchange& answer() const noexcept { return *exchange_; }
    const Deployment* deployment() const noexcept { return placement_.deployment; }

    /// Reads on in the answer. After an error the answer is incomplete, and stays so.
    Task<TransportError> next();

    /// For a client that has gone: ends the upstream's work on it. A pending start() or next() ends.
    void abort() noexcept;

 private:
    Task<TransportError> send();
    void read_answer();
    void settle(TransportError outcome);
    Estimate cost_of(CostPolicy policy, const Estimate& reserved, bool answered) const;
    void learn() const;

    Router& router_;
    Request request_;
    RequestSize size_;
    shm::LearnedEstimate learned_;
    Bill bill_;
    Placement placement_;
    std::optional<Exchange> exchange_;
    std::optional<ApiError> error_;
    std::optional<UsageScanner> scanner_;
    shm::Nanos started_{};
    shm::Nanos first_byte_{};  // of the body
    bool settled_ = false;
    bool aborted_ = false;
};

}  // namespace weir::router
