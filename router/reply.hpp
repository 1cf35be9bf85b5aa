// An answer that was read whole, and what it took to get it.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "router/fields.hpp"
#include "router/usage.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// What it took to get an answer.
struct Effort {
    std::uint32_t retries = 0;  ///< not counting those over a connection that had died idle
    std::uint32_t fallbacks = 0;
    shm::Nanos waited{};  ///< for capacity
};

struct Reply {
    unsigned status = 0;  ///< HTTP
    std::string body;     ///< the upstream's, or the reason why there is none, in OpenAI's error shape
    std::string content_type;
    std::string deployment_id;  ///< whose answer it is; empty if no deployment was asked
    std::string group;          ///< the model group that was asked last; empty if the model is unknown
    /// From now; with a refusal, when this very request would pass, and with an upstream's own,
    /// what that says.
    std::optional<shm::Nanos> retry_after;
    std::optional<Usage> usage;  ///< what the answer said it used
    Effort effort;
    Fields fields;  ///< of the head of the upstream's answer, as they came; none if there was no answer
};

}  // namespace weir::router
