#include "router/outcome.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace weir::router {
namespace {

/// An error says what it is near its beginning.
constexpr std::size_t kSnippetMax = 4096;

constexpr std::array<std::string_view, 9> kContextWords = {
    "context_length_exceeded", "maximum context length",
    "context window",          "context length",
    "prompt is too long",      "input is too long",
    "string_above_max_length", "exceeds the maximum number of tokens",
    "exceed context limit"};

constexpr std::array<std::string_view, 7> kPolicyWords = {
    "content_policy_violation",     "content_filter",           "content management policy",
    "responsibleaipolicyviolation", "content filtering policy", "rejected by the safety system",
    "input was flagged"};

/// In a 404 that is about the model, and not about the path or something that the body refers to.
constexpr std::array<std::string_view, 2> kModelWords = {"model", "deployment"};

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool contains(std::string_view text, std::string_view lower_word) noexcept {
    return std::search(text.begin(), text.end(), lower_word.begin(), lower_word.end(),
                       [](char a, char b) { return lower(a) == b; }) != text.end();
}

template <std::size_t N>
bool contains_any(std::string_view text, const std::array<std::string_view, N>& words) noexcept {
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return contains(text, word); });
}

Kind kind_of_4xx(unsigned status, std::string_view snippet) noexcept {
    snippet = snippet.substr(0, kSnippetMax);
    switch (status) {
        case 401:
            return Kind::auth;
        case 403:
            return contains_any(snippet, kPolicyWords) ? Kind::content_policy : Kind::auth;
        case 404:
            return Kind::not_found;
        case 408:
            return Kind::timeout;
        case 409:
            return Kind::conflict;
        case 429:
            return Kind::rate_limited;
        default:
            break;
    }
    if (contains_any(snippet, kPolicyWords)) return Kind::content_policy;
    if (contains_any(snippet, kContextWords)) return Kind::context_window;
    return Kind::bad_request;
}

Retry retry_of(Kind kind) noexcept {
    switch (kind) {
        case Kind::timeout:
        case Kind::conflict:
        case Kind::rate_limited:
        case Kind::server_error:
        case Kind::connection:
            return Retry::anywhere;
        case Kind::auth:
        case Kind::overloaded:
            return Retry::elsewhere;
        default:
            return Retry::no;
    }
}

bool is_clients_fault(Kind kind, std::string_view snippet) noexcept {
    if (kind == Kind::not_found) return !contains_any(snippet.substr(0, kSnippetMax), kModelWords);
    return kind == Kind::bad_request || kind == Kind::context_window ||
           kind == Kind::content_policy;
}

}  // namespace

Outcome classify(unsigned status, std::string_view snippet) noexcept {
    if (status >= 200 && status < 400) return {};
    Kind kind = Kind::server_error;
    if (status >= 400 && status < 500) kind = kind_of_4xx(status, snippet);
    if (status == 504) kind = Kind::timeout;
    return {kind, is_clients_fault(kind, snippet) ? Source::client : Source::upstream, retry_of(kind), true};
}

Outcome classify(TransportError error) noexcept {
    Kind kind = Kind::connection;
    Source source = Source::connection;
    switch (error) {
        case TransportError::none:
            return {};
        case TransportError::pool_full:
        case TransportError::out_of_resources:
            kind = Kind::overloaded;
            source = Source::own;
            break;
        case TransportError::overran:
            kind = Kind::timeout;
            source = Source::own;
            break;
        case TransportError::first_byte_timeout:
        case TransportError::stalled:
            kind = Kind::timeout;
            break;
        case TransportError::broken:
        case TransportError::malformed:
            kind = Kind::server_error;
            break;
        case TransportError::redirected:  // until its configuration is another one
            return {Kind::server_error, Source::upstream, Retry::elsewhere, true};
        default:
            break;
    }
    return {kind, source, retry_of(kind), may_have_arrived(error)};
}

unsigned client_status(Kind kind, unsigned upstream_status) noexcept {
    if (upstream_status != 0) return upstream_status;
    switch (kind) {
        case Kind::ok:
            return 200;
        case Kind::bad_request:
        case Kind::context_window:
        case Kind::content_policy:
            return 400;
        case Kind::auth:
            return 401;
        case Kind::not_found:
            return 404;
        case Kind::timeout:
            return 408;
        case Kind::conflict:
            return 409;
        case Kind::rate_limited:
            return 429;
        case Kind::overloaded:
            return 503;
        case Kind::server_error:
        case Kind::connection:
            return 500;
    }
    return 500;
}

unsigned client_status(TransportError failure) noexcept {
    switch (failure) {
        case TransportError::closed:
        case TransportError::broken:
        case TransportError::malformed:
        case TransportError::redirected:
            return 502;
        default:
            return client_status(classify(failure).kind, 0);
    }
}

std::string_view to_string(Kind kind) noexcept {
    switch (kind) {
        case Kind::ok:
            return "ok";
        case Kind::bad_request:
            return "bad_request";
        case Kind::auth:
            return "auth";
        case Kind::not_found:
            return "not_found";
        case Kind::timeout:
            return "timeout";
        case Kind::conflict:
            return "conflict";
        case Kind::rate_limited:
            return "rate_limited";
        case Kind::context_window:
            return "context_window";
        case Kind::content_policy:
            return "content_policy";
        case Kind::overloaded:
            return "overloaded";
        case Kind::server_error:
            return "server_error";
        case Kind::connection:
            return "connection";
    }
    return "?";
}

std::string_view error_type(Kind kind) noexcept {
    switch (kind) {
        case Kind::ok:
            return "";
        case Kind::bad_request:
        case Kind::context_window:
        case Kind::content_policy:
            return "invalid_request_error";
        case Kind::auth:
            return "auth_error";
        case Kind::not_found:
            return "not_found_error";
        case Kind::timeout:
            return "timeout_error";
        case Kind::conflict:
            return "conflict_error";
        case Kind::rate_limited:
            return "throttling_error";
        case Kind::overloaded:
            return "overloaded_error";
        case Kind::server_error:
            return "internal_server_error";
        case Kind::connection:
            return "api_connection_error";
    }
    return "internal_server_error";
}

ApiError broken_off(TransportError failure, std::string_view reason) {
    const Kind kind = classify(failure).kind;
    const std::string message = describe(failure, reason) + ".";
    if (kind != Kind::timeout) return {502, message, "api_connection_error", {}, {}};
    return {client_status(kind, 0), message, std::string(error_type(kind)), {}, {}};
}

}  // namespace weir::router
