// What became of one attempt at an upstream, as data: decided here, once, and read by retries,
// cooldowns, fallbacks and metrics.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "router/api_error.hpp"
#include "router/transport_error.hpp"

namespace weir::router {

/// The classes of LiteLLM's exceptions, as far as a status, the body and the connection tell them
/// apart.
enum class Kind : std::uint8_t {
    ok,
    bad_request,     ///< 400, 405, 413, 415, 422 …: the request's own fault
    auth,            ///< 401, 403: the deployment's key, not the client's, unless a 403 is a filter's
    not_found,       ///< 404
    timeout,         ///< 408, 504, or no answer in time
    conflict,        ///< 409
    rate_limited,    ///< 429
    context_window,  ///< a 4xx that says the prompt is too long for the model
    content_policy,  ///< a 4xx that says the prompt was filtered
    overloaded,      ///< too much is under way in this process itself to ask the upstream
    server_error,    ///< 5xx, or an answer that is none
    connection,      ///< no connection, or it ended before an answer
};

/// Whose fault a failure is. What clients can bring about is never counted against a deployment: nonsense
/// must not take it out of service. Nor is what our own limits bring about. A 404 is the deployment's only
/// if it is about the model.
enum class Source : std::uint8_t {
    none,
    client,
    upstream,
    connection,
    own,  ///< our own limits: of connections, descriptors, or of the time that a stream may take in all
};

/// Whether the same request may be tried again.
enum class Retry : std::uint8_t {
    no,
    anywhere,   ///< also at the same deployment
    elsewhere,  ///< only at another one
};

struct Outcome {
    Kind kind = Kind::ok;
    Source source = Source::none;
    Retry retry = Retry::no;
    bool counted = true;  ///< the upstream may have counted and worked on the request
    bool ok() const noexcept { return kind == Kind::ok; }
    /// Whether it says something about the deployment.
    bool tells() const noexcept { return source == Source::upstream || source == Source::connection; }
};

/// An answer with `status` (HTTP), of whose body `snippet` is the beginning.
Outcome classify(unsigned status, std::string_view snippet) noexcept;

/// No answer, or not a whole one.
Outcome classify(TransportError error) noexcept;

/// What the client is told when `kind` was the end of it: LiteLLM's status. `upstream_status` is
/// passed on where there was an answer; 0: there was none.
unsigned client_status(Kind kind, unsigned upstream_status) noexcept;

/// What the client is told when `failure` was the end of it: 502 for what an upstream has done with the
/// request other than answer it, else the status of its kind.
unsigned client_status(TransportError failure) noexcept;

/// For logs and metrics: "rate_limited".
std::string_view to_string(Kind kind) noexcept;

/// As OpenAI's `error.type` says it: "rate_limit_error".
std::string_view error_type(Kind kind) noexcept;

/// What the client is told where an upstream's answer has begun and `failure` was its end: 408 if that took
/// too long, else 502. `reason` says more about it, or is empty.
ApiError broken_off(TransportError failure, std::string_view reason = {});

}  // namespace weir::router
