// A moment on both clocks: what the pure parts are given instead of reading a clock.
//
// Thread safety: a plain value.
#pragma once

#include <cstdint>

namespace weir::fake_server {

inline constexpr std::int64_t kNanosPerMilli = 1'000'000;
inline constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

struct Instant {
    std::int64_t monotonic_ns = 0;  ///< CLOCK_MONOTONIC, comparable between processes of one host
    std::int64_t unix_ns = 0;       ///< since 1970, for people
};

}  // namespace weir::fake_server
