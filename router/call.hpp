// One request's life in the router: placed, sent, tried again where that helps, answered piece by
// piece, settled.
//
// What it is charged is its Account's affair (account.hpp).
//
// Thread safety: none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/account.hpp"
#include "router/api_error.hpp"
#include "router/exchange.hpp"
#include "router/fallback.hpp"
#include "router/outcome.hpp"
#include "router/request.hpp"
#include "router/router.hpp"
#include "router/search.hpp"
#include "router/usage.hpp"

namespace weir::router {

/// What is asked. Views must stay good until the Call is gone.
struct Request {
    std::string_view endpoint = "/chat/completions";  ///< below api_base
    std::string_view body;
    const RequestFacts* facts = nullptr;  ///< of `body`: JSON, or a form if `facts->form` is set
    bool generates = true;  ///< false for embeddings and the like, which have no completion
    std::string_view request_id{};  ///< told to the upstream, if not empty
    CallerLimits caller{};
    std::uint64_t owner = 0;  ///< who asks, for the fair use of the queue; 0: the operator
    const RequestBounds* bounds = nullptr;  ///< on what the request may ask for; null: none
    std::optional<shm::Nanos> max_wait{};  ///< for capacity; goes before what the body says
};

class Call {
 public:
    Call(Router& router, const Request& request);
    ~Call();  ///< settles, whatever came of it
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// Until the head of an answer is there, or there will be none: then error() says why. An
    /// upstream's own error, when it was the last word, is an answer.
    Task<void> start();

    const ApiError* error() const noexcept { return error_ ? &*error_ : nullptr; }

    /// The answer, if there is no error.
    const Exchange& answer() const noexcept { return *exchange_; }
    /// The pieces of the body that came with the latest start() or next(), as the client is to see
    /// them: without the usage that only we asked for. Good until the next one.
    std::span<const asio::const_buffer> pieces() const noexcept { return pieces_; }
    /// The length of the body, or -1 if it is not known beforehand.
    std::int64_t content_length() const noexcept;

    /// Whose answer it is; null if no deployment was asked.
    const Deployment* deployment() const noexcept { return account_.deployment(); }
    const Effort& effort() const noexcept { return effort_; }
    /// The model group that was asked last: the one the client named, or a fallback.
    std::string_view group() const noexcept {
        return target_.group != nullptr ? target_.group->name : std::string_view();
    }
    /// When the latest of the answer was there.
    shm::Nanos came_at() const noexcept { return came_at_; }
    /// Waiting for the head of the answer, of the latest attempt.
    shm::Nanos upstream_time() const noexcept { return answered_ - attempted_; }
    /// Waiting for the first piece of a stream, of the latest attempt, if one came.
    std::optional<shm::Nanos> first_piece_time() const noexcept {
        if (!request_.facts->stream || first_byte_ == shm::Nanos{}) return std::nullopt;
        return first_byte_ - attempted_;
    }
    /// What the answer said it used, as far as it has been read.
    std::optional<Usage> usage() const noexcept { return scanner_ ? scanner_->usage() : std::nullopt; }

    /// Reads on in the answer. After an error the answer is incomplete, and stays so.
    Task<TransportError> next();

    /// For a client that has gone: ends the upstream's work on it. A pending start() or next() ends.
    void abort() noexcept;

 private:
    bool knows_fallbacks();
    Outcome pretended();
    Task<Outcome> try_group();
    Task<Outcome> attempt();
    Task<TransportError> send();
    TransportError follow(int redirects, std::string& head);
    bool met_dead_connection() const noexcept;
    Task<void> pause(shm::Nanos duration);
    Task<Outcome> wait_for_place();
    Search::Terms terms() const;
    FallbackPlan& plan();
    bool has_fallback(Kind kind);
    bool go_to_fallback(const Outcome& outcome);
    RetryRules retry_rules() const;
    std::optional<shm::Nanos> upstream_delay() const;
    void count_failure(const Outcome& outcome, std::optional<shm::Nanos> retry_after);
    bool others_available() const;
    void fail(const Outcome& outcome);
    std::string failure_text() const;
    void heed_quota(const Deployment& deployment);
    bool was_refused() const noexcept;
    void leave_deployment();
    void read_pieces(shm::Nanos now);
    void begin_reading();
    void finish(bool whole, shm::Nanos now);
    Spent spent() const;

    /// How long an attempt may take.
    struct Patience {
        std::optional<shm::Nanos> whole;  ///< in all; empty: any time
        std::optional<shm::Nanos> piece;  ///< of a stream: until its first piece, and from piece to piece
    };
    Patience patience() const;
    Patience configured_patience() const;
    shm::Nanos deadline() const;
    shm::Nanos taken() const;
    bool ran_out_of_time() const;
    Outcome judged(TransportError failure) const;

    Router& router_;
    Request request_;
    std::string_view asked_;  // by which name the target was found: the client's, or a fallback's
    Router::Target target_;
    Account account_;
    Search search_;
    std::optional<Exchange> exchange_;
    std::optional<ApiError> error_;
    std::optional<FallbackRules> own_rules_;  // where the request has fallbacks of its own
    std::optional<FallbackPlan> plan_;
    std::optional<UsageScanner> scanner_;
    std::optional<UsageStripper> stripper_;  // if usage was asked for on our own account
    std::string stripped_;
    std::vector<asio::const_buffer> pieces_;
    Effort effort_;
    TransportError transport_ = TransportError::none;  // of the latest attempt
    std::string detail_;  // of transport_, where the exchange does not know it
    Timer* pausing_ = nullptr;
    Patience patience_;        // for the latest attempt
    shm::Nanos attempted_{};
    shm::Nanos held_back_{};   // since then, by a client that takes its time to read
    shm::Nanos answered_{};    // its head was there
    shm::Nanos first_byte_{};  // of the body
    shm::Nanos came_at_{};     // the latest of the answer
    bool asked_usage_ = false;
    bool fresh_ = false;  // the next attempt needs a new connection
    bool sent_ = false;  // the latest attempt, as far as is known
    bool settled_ = false;
    bool aborted_ = false;
};

}  // namespace weir::router
