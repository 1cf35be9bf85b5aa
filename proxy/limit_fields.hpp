// The header fields that tell a client where it stands: x-ratelimit-*.
//
// Thread safety: pure, apart from reading the segment.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "proxy/response.hpp"
#include "router/scope.hpp"
#include "shm/participant.hpp"

namespace weir::proxy {

struct CallerScopes;

/// How an answer's header fields tell of one limit; each with its colon.
struct LimitFieldNames {
    std::string limit, remaining, reset;
};

/// As LiteLLM names them: "x-ratelimit-api_key-remaining-requests", with "-day" behind the kind where
/// `window` is a day. Without `kind` as OpenAI does: "x-ratelimit-remaining-requests".
LimitFieldNames limit_field_names(std::string_view kind, shm::Unit unit, shm::Nanos window);

/// Appends x-ratelimit-{limit,remaining,reset}-{requests,tokens} for the fullest of the deployment's
/// limits, as OpenAI has them, and x-ratelimit-{kind}-{limit,remaining}-{…} for each of the
/// caller's, as LiteLLM has them. Resets are Go durations, as OpenAI writes them: "6m0s", "20ms".
void append_limits(HeadWriter& head, const shm::Participant& participant, const CallerScopes& caller,
                   std::span<const router::Scope> deployments, shm::Nanos now);

/// "1h2m3s", "1.5s", "20ms"; rounded up to milliseconds.
std::string go_duration(shm::Nanos duration);

}  // namespace weir::proxy
