// One batch of concurrent requests: when it was under way, and what became of it.
//
// Thread safety: values.
#pragma once

#include <chrono>

#include "loadtest/tally.hpp"

namespace weir::loadtest {

/// A duration, or a point in time on this host's CLOCK_MONOTONIC.
using Nanos = std::chrono::nanoseconds;

struct Batch {
    Nanos start{0};  ///< no request was sent before
    Nanos end{0};    ///< no answer came after
    Tally tally;
};

}  // namespace weir::loadtest
