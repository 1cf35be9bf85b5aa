// Weir's own operations, each as a program makes them: the clock is read, and the flight recorder is on.
//
// Thread safety: none; they belong to the thread of their participant.
#pragma once

#include <memory>
#include <vector>

#include "shm/segment.hpp"
#include "tests/bench/measure.hpp"

namespace weir::bench {

/// `segment` and `me` must outlive the subjects.
std::vector<std::unique_ptr<Subject>> weir_subjects(shm::Segment& segment, shm::Participant& me);

/// More units than any benchmark takes.
inline constexpr shm::Units kPlenty = (shm::Units{1} << 39) - 1;

/// Nothing leaves a window while a benchmark runs.
inline constexpr shm::Nanos kLongWindow = std::chrono::hours(24);

}  // namespace weir::bench
