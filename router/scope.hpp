// A limit that a request is counted under, and what a request is expected to cost.
//
// Thread safety: values.
#pragma once

#include <string>

#include "shm/limiter.hpp"
#include "shm/segment.hpp"

namespace weir::router {

/// One window limit of a deployment, a key, a team …
struct Scope {
    std::string kind;  ///< "deployment", "key", "team" …: LimiterName::scope
    std::string name;  ///< within the kind
    shm::Unit unit = shm::Unit::requests;
    shm::Nanos window{};
    shm::Units limit = 0;
    shm::Limiter limiter;
    bool local = false;  ///< of this host alone, even if it shares its limits with others

    /// Finds or makes its limiter; to be called again when a handle was evicted.
    void look_up(shm::Segment& segment) {
        const shm::LimiterName own{kind, name, unit, window};
        limiter =
            segment.shared() && !local ? segment.shared_limiter(own, limit) : segment.limiter(own, limit);
    }
};

/// The limit of a limiter that only counts.
inline constexpr shm::Units kOnlyCounts = (shm::Units{1} << 39) - 1;

/// One limit on what is in flight at any moment, of a deployment, a key, a team …
struct Hold {
    std::string kind;    ///< as a Scope's
    std::string name;    ///< within the kind
    shm::Units max = 0;  ///< 0: none, it only counts
    bool local = false;  ///< of this host alone, even if it shares its limits with others
    shm::Gauge gauge;

    /// Finds or makes its gauge; to be called again when a handle was evicted.
    void look_up(shm::Segment& segment) {
        gauge = segment.shared() && !local ? segment.shared_gauge(kind, name, max)
                                           : segment.gauge(kind, name, max);
    }
};

/// What a request is expected to use, before it is sent.
struct Estimate {
    shm::Units tokens = 0;  ///< for limits on all tokens
    shm::Units input_tokens = 0;
    shm::Units output_tokens = 0;
};

/// What of `estimate` is charged to a limit on `unit`.
constexpr shm::Units units_for(shm::Unit unit, const Estimate& estimate) noexcept {
    switch (unit) {
        case shm::Unit::requests:
            return 1;
        case shm::Unit::tokens:
            return estimate.tokens;
        case shm::Unit::input_tokens:
            return estimate.input_tokens;
        case shm::Unit::output_tokens:
            return estimate.output_tokens;
    }
    return 1;
}

}  // namespace weir::router
