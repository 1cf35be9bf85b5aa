// What an upstream's header fields say about its own limits: how long to stay away, and what is
// left.
//
// Understood: retry-after (seconds or an HTTP date), retry-after-ms,
// x-ratelimit-{limit,remaining,reset}- {requests,tokens} with resets as Go durations or seconds,
// and anthropic-ratelimit-{requests,tokens, input-tokens,output-tokens}-{limit,remaining,reset}
// with resets as RFC 3339 times. What cannot be read is as if it were not there.
//
// Thread safety: pure. Wall-clock time is an argument, as nanoseconds since 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "router/fields.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// One of the upstream's own limits.
struct Quota {
    std::optional<std::uint64_t> limit;
    std::optional<std::uint64_t> remaining;
    std::optional<shm::Nanos> reset;  ///< from now, 0 .. 366 days
    bool exhausted() const noexcept { return remaining && *remaining == 0; }
};

struct Feedback {
    std::optional<shm::Nanos>
        retry_after;  ///< from now, 0 .. 366 days; retry-after-ms goes before retry-after
    Quota requests;
    Quota tokens;
    Quota input_tokens;
    Quota output_tokens;
};

Feedback read_feedback(const Fields& fields, shm::Nanos unix_now);

/// How long the upstream has nothing left of some quota: the latest reset of those that are at 0.
/// Empty if none is, or if it does not say until when.
std::optional<shm::Nanos> exhausted_for(const Feedback& feedback) noexcept;

/// "1.5", "0.02" and so on, as a duration in seconds; not negative.
std::optional<shm::Nanos> parse_seconds(std::string_view text) noexcept;

/// "6m0s", "1h2m3.5s", "20ms", "7.66s"; not negative.
std::optional<shm::Nanos> parse_go_duration(std::string_view text) noexcept;

/// "Sun, 06 Nov 1994 08:49:37 GMT" and the two obsolete forms of RFC 9110. Since 1970.
std::optional<shm::Nanos> parse_http_date(std::string_view text) noexcept;

/// "2025-01-31T12:00:00Z", also with a fraction and an offset. Since 1970.
std::optional<shm::Nanos> parse_rfc3339(std::string_view text) noexcept;

}  // namespace weir::router
