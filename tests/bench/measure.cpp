#include "tests/bench/measure.hpp"

#include <time.h>

#include <algorithm>

namespace weir::bench {

double thread_cpu_ns() noexcept {
    timespec time;
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

Round Loop::round() {
    body_(operations_ / 4);  // brings back to the caches what the other subjects have driven out of them
    const double begin = thread_cpu_ns();
    body_(operations_);
    return {operations_, thread_cpu_ns() - begin, false};
}

Row summed_up(const Subject& subject, const std::vector<Round>& rounds) {
    Row row;
    row.name = subject.name();
    row.note = subject.note();
    std::vector<double> costs;
    for (const bool with_disturbed : {false, true}) {
        if (!costs.empty()) break;
        for (const Round& round : rounds) {
            if (round.operations == 0 || round.disturbed != with_disturbed) continue;
            costs.push_back(round.ns / static_cast<double>(round.operations));
        }
        if (with_disturbed && !costs.empty()) row.note += " (every round was disturbed)";
    }
    row.rounds = costs.size();
    row.disturbed = rounds.size() - costs.size();
    if (costs.empty()) return row;
    std::sort(costs.begin(), costs.end());
    row.min_ns = costs.front();
    row.median_ns = costs[costs.size() / 2];
    row.ns = subject.joint() ? row.median_ns : row.min_ns;
    return row;
}

std::vector<Row> measure(const std::vector<std::unique_ptr<Subject>>& subjects, unsigned turns,
                         const std::function<bool()>& stop) {
    std::vector<std::vector<Round>> rounds(subjects.size());
    for (const auto& subject : subjects) (void)subject->round();
    for (unsigned turn = 0; turn < turns && !stop(); ++turn) {
        for (std::size_t i = 0; i < subjects.size(); ++i) {
            if (turn % subjects[i]->turns_per_round() == 0) rounds[i].push_back(subjects[i]->round());
        }
    }
    std::vector<Row> rows;
    for (std::size_t i = 0; i < subjects.size(); ++i) rows.push_back(summed_up(*subjects[i], rounds[i]));
    return rows;
}

}  // namespace weir::bench
