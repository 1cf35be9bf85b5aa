// What a benchmark program prints: a table, or JSON for other programs.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/measure.hpp"

namespace weir::bench {

/// A subject that could not be measured, and why.
struct Skipped {
    std::string name;
    std::string reason;
};

struct Report {
    std::vector<Row> rows;
    std::vector<Skipped> skipped;
    unsigned cpus = 0;  ///< that this process may run on
};

/// Aligned columns, one line for each row, with the notes below.
std::string as_table(const Report& report);

/// {"benchmarks": [{"name", "ns_per_op", "ops_per_second", "min_ns_per_op", "median_ns_per_op", "rounds",
/// "rounds_disturbed", "note"}, …], "skipped": [{"name", "reason"}, …], "cpus"}
std::string as_json(const Report& report);

}  // namespace weir::bench
