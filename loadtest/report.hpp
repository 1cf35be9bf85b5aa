// What the load test says: the lines of each batch, the verdict, and the whole as JSON.
//
// Thread safety: pure.
#pragma once

#include <ctime>
#include <span>
#include <string>
#include <vector>

#include "loadtest/judge.hpp"
#include "loadtest/options.hpp"

namespace weir::loadtest {

/// "triggered new batch - 21-07", in UTC.
std::string batch_trigger_line(std::time_t at);

/// "600 0.214876 200": requests, seconds, successes.
std::string batch_result_line(const Batch& batch);

/// The last lines, ending in one that begins with PASS or FAIL.
std::string verdict_text(const Judgement& judgement, const Rules& rules);

/// Everything that was measured and judged. `started` has the wall clock's time of each batch.
std::string to_json(const Options& options, std::span<const Batch> batches,
                    std::span<const std::time_t> started, const Judgement& judgement, const Rules& rules);

}  // namespace weir::loadtest
