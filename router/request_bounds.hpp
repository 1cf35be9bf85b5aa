// What the requests of a key may ask for beyond the configuration: retries, timeouts, waits,
// priority and fallbacks. A client may always ask for less. How far it may ask for more the
// operator says, for all keys (weir_settings.request_options) and for one (keys[].request_options);
// without a word from the operator a client cannot raise what others pay for.
//
//   option                         less is always allowed; more up to
//   num_retries                    what is configured for the deployment, or `num_retries` if that
//   is more timeout, stream_timeout        `timeout`, by default the longest timeout that is
//   configured max_wait_seconds               `max_wait`, by default the longer of queue.max_wait
//   and the upstream timeout priority                       `priority`, the best one; by default
//   that of requests that name none max_fallbacks                  `max_fallbacks`, by default the
//   configured number
//
// The master key, and a proxy without keys, are not bounded by these: that is the operator.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shm/clock.hpp"

namespace weir::router {

struct RequestFacts;
struct RouterConfig;

/// The priority of a request that has none: in the middle, so that others can go before or after.
inline constexpr std::uint8_t kPriorityDefault = 128;

/// As the configuration says it; empty: the default.
struct RequestBounds {
    std::optional<std::uint32_t> num_retries;    ///< 0 .. 100
    std::optional<shm::Nanos> timeout;           ///< > 0, up to a day
    std::optional<shm::Nanos> max_wait;          ///< up to a day
    std::optional<std::uint8_t> priority;        ///< 0 is the best
    std::optional<std::uint32_t> max_fallbacks;  ///< 0 .. 100
    /// The most retries that are configured for any deployment; from bounds_of.
    std::uint32_t configured_retries = 0;
};

/// The bounds of a key: `own`, where it says nothing `general`, where that says nothing the
/// default. All are set afterwards but for `num_retries`.
RequestBounds bounds_of(const RouterConfig& config, const RequestBounds& general,
                        const RequestBounds& own);

/// Lowers what `facts` ask for to `bounds` (from bounds_of). Returns the names of the options that
/// asked for more, as a list for a header field; empty if there are none. What is configured for
/// retries differs by deployment: the retry rules bound them once more (most_retries).
std::string apply_bounds(RequestFacts& facts, const RequestBounds& bounds);

/// How often a request may be tried again where `configured` is usual and it asks for `asked`.
/// `bounds` is null for a request that nothing bounds.
std::uint32_t most_retries(std::uint32_t configured, std::optional<std::uint32_t> asked,
                           const RequestBounds* bounds) noexcept;

}  // namespace weir::router
