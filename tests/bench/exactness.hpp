// Judges what a limiter admitted: never over in any window, and how much of the limit was used.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/clock.hpp"

namespace weir::bench {

/// One admission, with what it came to cost.
struct Admitted {
    std::uint64_t time_ns = 0;  ///< at which the limiter counts it
    std::uint64_t units = 0;
};

struct Exactness {
    std::uint64_t worst = 0;      ///< the most units in any window (t - window, t]
    std::uint64_t overshoot = 0;  ///< of `worst` over the limit
    std::uint64_t units = 0;      ///< all that was admitted
    /// Units admitted before a moment, over what the limit allows from the first admission to that moment:
    /// the lowest such share in the second half of the run. Neither the first burst nor the last flatters it.
    double sustained = 0;
};

/// `log` in any order.
Exactness judge(std::vector<Admitted> log, std::uint64_t limit, shm::Nanos window);

}  // namespace weir::bench
