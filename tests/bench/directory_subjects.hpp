// A segment with 100,000 limiters: making them, and finding them again.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <vector>

#include "shm/segment.hpp"
#include "tests/bench/measure.hpp"

namespace weir::bench {

/// make_limiter, 100,000 of them into an empty segment of 256 MiB, and find_among_100k_limiters, which finds
/// them again. Throws shm::SegmentError when /dev/shm has no room for that segment.
std::vector<std::unique_ptr<Subject>> directory_subjects();

}  // namespace weir::bench
