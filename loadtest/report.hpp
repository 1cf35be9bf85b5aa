// What the load test says: the lines of each batch, the verdict, and the whole as JSON.
//
// Thread safety: pure.
#pragma once

#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loadtest/judge.hpp"
#include "loadtest/latencies.hpp"
#include "loadtest/options.hpp"

namespace weir::loadtest {

/// "triggered new batch - 21-07", in UTC.
std::string batch_trigger_line(std::time_t at);

/// "600 0.214876 200": requests, seconds, successes.
std::string batch_result_line(const Batch& batch);

/// How an open loop went.
struct Pace {
    double wanted_rate = 0;    ///< requests per second
    double achieved_rate = 0;  ///< answers per second
    Latencies latencies;       ///< from when a request was due
};

/// Its rates and percentiles in one line.
std::string pace_text(const Pace& pace);

/// The last lines, ending in one that begins with PASS or FAIL.
std::string verdict_text(const Judgement& judgement, const Rules& rules);

/// Everything that was measured and judged. `started` has the wall clock's time of each batch; `pace` is
/// that of an open loop, whose slices the batches are.
std::string to_json(const Options& options, std::span<const Batch> batches,
                    std::span<const std::time_t> started, const std::optional<Pace>& pace,
                    const Judgement& judgement, const Rules& rules);

}  // namespace weir::loadtest
