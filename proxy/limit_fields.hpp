// The header fields that tell a client where it stands: x-ratelimit-*.
//
// Thread safety: pure, apart from reading the segment.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/response.hpp"
#include "router/scope.hpp"
#include "shm/participant.hpp"

namespace weir::proxy {

/// Appends x-ratelimit-{limit,remaining,reset}-{requests,tokens} for the fullest of the deployment's
/// limits, as OpenAI has them, and x-ratelimit-{kind}-{limit,remaining}-{…} for each of the
/// caller's, as LiteLLM has them. Resets are Go durations, as OpenAI writes them: "6m0s", "20ms".
void append_limits(HeadWriter& head, const shm::Participant& participant,
                   std::span<router::Scope* const> callers, std::span<const router::Scope> deployments,
                   shm::Nanos now);

/// "2.5" as seconds, from 0 to a day; empty if it is not that.
std::optional<shm::Nanos> parse_seconds(std::string_view text) noexcept;

/// "1h2m3s", "1.5s", "20ms"; rounded up to milliseconds.
std::string go_duration(shm::Nanos duration);

}  // namespace weir::proxy
