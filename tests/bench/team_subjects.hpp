// Processes together on one limiter, and each on its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/measure.hpp"

namespace weir::bench {

/// `segment` is the name of a segment in which make_rivals() has been called.
///   contended_2_processes   one limiter, and every decision admitted
///   saturated_2_processes   one limiter that refuses nearly all
///   distinct_N_processes    each on a limiter of its own, N = 1, 2, 4 … as far as there are CPUs
///   mutex_2_processes, gcra_2_processes    the rivals, contended
std::vector<std::unique_ptr<Subject>> team_subjects(const std::string& segment);

}  // namespace weir::bench
