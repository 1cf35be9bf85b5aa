// What an upstream's own record of arrivals says about a limit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weir::router::test {

/// The most requests to `model` that arrived in any interval of `span_ns`. A request is admitted a little
/// before it arrives, so take an interval somewhat shorter than the window in question.
inline std::size_t fullest(const nlohmann::json& ledger, const std::string& model, std::int64_t span_ns) {
    std::vector<std::int64_t> times;
    for (const auto& arrival : ledger.at("arrivals")) {
        if (arrival.at("model") == model) times.push_back(arrival.at("monotonic_ns"));
    }
    std::sort(times.begin(), times.end());
    std::size_t most = 0;
    for (std::size_t first = 0, last = 0; last < times.size(); ++last) {
        while (times[last] - times[first] >= span_ns) ++first;
        most = std::max(most, last - first + 1);
    }
    return most;
}

}  // namespace weir::router::test
