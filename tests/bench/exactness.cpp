#include "tests/bench/exactness.hpp"

#include <algorithm>

namespace weir::bench {

namespace {

std::uint64_t worst_window(const std::vector<Admitted>& log, std::uint64_t window_ns) {
    std::uint64_t worst = 0;
    std::uint64_t sum = 0;
    std::size_t first = 0;
    for (const Admitted& last : log) {
        sum += last.units;
        while (last.time_ns - log[first].time_ns >= window_ns) sum -= log[first++].units;
        worst = std::max(worst, sum);
    }
    return worst;
}

double sustained_share(const std::vector<Admitted>& log, double per_ns) {
    const std::uint64_t begin = log.front().time_ns;
    const std::uint64_t half = begin + (log.back().time_ns - begin) / 2;
    double lowest = 0;
    std::uint64_t before = 0;
    for (const Admitted& next : log) {
        if (next.time_ns > half) {
            const double share =
                static_cast<double>(before) / (per_ns * static_cast<double>(next.time_ns - begin));
            lowest = lowest == 0 ? share : std::min(lowest, share);
        }
        before += next.units;
    }
    return lowest;
}

}  // namespace

Exactness judge(std::vector<Admitted> log, std::uint64_t limit, shm::Nanos window) {
    Exactness result;
    if (log.empty()) return result;
    std::sort(log.begin(), log.end(),
              [](const Admitted& a, const Admitted& b) { return a.time_ns < b.time_ns; });
    const auto window_ns = static_cast<std::uint64_t>(window.count());
    result.worst = worst_window(log, window_ns);
    result.overshoot = result.worst > limit ? result.worst - limit : 0;
    for (const Admitted& admitted : log) result.units += admitted.units;
    result.sustained = sustained_share(log, static_cast<double>(limit) / static_cast<double>(window_ns));
    return result;
}

}  // namespace weir::bench
