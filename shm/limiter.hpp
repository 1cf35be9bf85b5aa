// Handles to what lives in a segment: window limiters, in-flight gauges, health records, counters, lines.
//
// A handle is a small value; copy it freely. It is good for as long as its Segment is open, in every thread.
// If the thing it names was evicted (idle, and its place reused for another name), the handle notices by the
// generation and its use is refused as `Refused::evicted`: look it up again.
#pragma once

#include <cstdint>
#include <string_view>

#include "shm/clock.hpp"

namespace weir::shm {

struct WindowRecord;   // shm/layout.hpp
struct GaugeRecord;    // shm/layout.hpp
struct HealthRecord;   // shm/layout.hpp
struct CounterRecord;  // shm/layout.hpp
struct LineRecord;     // shm/layout.hpp

/// What a window limiter counts.
enum class Unit : std::uint8_t { requests, tokens, input_tokens, output_tokens };

/// "requests", "tokens", "input_tokens", "output_tokens".
const char* unit_name(Unit unit) noexcept;

/// The identity of a window limiter: editing its limit keeps its counters, for the limit is not part of it.
/// The window's length is, so RPM and RPD of one key stand side by side.
struct LimiterName {
    std::string_view scope;  ///< "deployment", "key", "team", "user", "model" …; 1 .. 31 bytes, no ':'
    std::string_view name;   ///< within the scope; any length; the segment keeps a readable form of it
    Unit unit = Unit::requests;
    Nanos window = std::chrono::seconds(60);  ///< 10 ms .. 366 days
};

/// A window limiter. Cheap to copy; default-constructed it names nothing.
struct Limiter {
    WindowRecord* record = nullptr;
    std::uint64_t generation = 0;
    explicit operator bool() const noexcept { return record != nullptr; }
};

/// A count of what is in flight, with a maximum.
struct Gauge {
    GaugeRecord* record = nullptr;
    std::uint64_t generation = 0;
    explicit operator bool() const noexcept { return record != nullptr; }
};

/// The health of one deployment.
struct Health {
    HealthRecord* record = nullptr;
    std::uint64_t generation = 0;
    explicit operator bool() const noexcept { return record != nullptr; }
};

/// A named, ever-growing sum over all processes, for metrics.
struct Counter {
    CounterRecord* record = nullptr;
    std::uint64_t generation = 0;
    explicit operator bool() const noexcept { return record != nullptr; }
};

/// A line of those who wait for one thing, over all processes (lines.hpp).
struct Line {
    LineRecord* record = nullptr;
    std::uint64_t generation = 0;
    explicit operator bool() const noexcept { return record != nullptr; }
};

}  // namespace weir::shm
