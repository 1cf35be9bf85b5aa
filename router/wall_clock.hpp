// The time of day, in which upstreams say when to come back, keys expire and logs are dated. It may be set
// back and forth: durations and deadlines go by shm::now().
//
// Thread and process safety: a single system-provided read.
#pragma once

#include <chrono>

#include "shm/clock.hpp"

namespace weir::router {

/// The time since the beginning of 1970, UTC.
inline shm::Nanos unix_now() {
    return std::chrono::duration_cast<shm::Nanos>(std::chrono::system_clock::now().time_since_epoch());
}

}  // namespace weir::router
