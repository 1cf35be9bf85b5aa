#include "tests/bench/report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weir::bench {

namespace {

double per_second(const Row& row) {
    return row.ns > 0 ? 1e9 / row.ns : 0;
}

}  // namespace

std::string as_table(const Report& report) {
    std::string text = fmt::format("{:<26}{:>10}{:>14}{:>10}{:>10}{:>8}{:>8}\n", "benchmark", "ns/op",
                                   "ops/s", "fastest", "median", "rounds", "aside");
    for (const Row& row : report.rows) {
        text += fmt::format("{:<26}{:>10.1f}{:>14.0f}{:>10.1f}{:>10.1f}{:>8}{:>8}\n", row.name, row.ns,
                            per_second(row), row.min_ns, row.median_ns, row.rounds, row.disturbed);
    }
    text += fmt::format(
        "\nns/op is the fastest round, or the median one where several processes work together. "
        "Set aside: rounds\nin which something else took a CPU. {} CPUs.\n",
        report.cpus);
    for (const Row& row : report.rows) {
        if (!row.note.empty()) text += fmt::format("{}: {}\n", row.name, row.note);
    }
    for (const Skipped& skipped : report.skipped) {
        text += fmt::format("{}: skipped: {}\n", skipped.name, skipped.reason);
    }
    return text;
}

std::string as_json(const Report& report) {
    nlohmann::ordered_json benchmarks = nlohmann::ordered_json::array();
    for (const Row& row : report.rows) {
        benchmarks.push_back({{"name", row.name},
                              {"ns_per_op", row.ns},
                              {"ops_per_second", per_second(row)},
                              {"min_ns_per_op", row.min_ns},
                              {"median_ns_per_op", row.median_ns},
                              {"rounds", row.rounds},
                              {"rounds_disturbed", row.disturbed},
                              {"note", row.note}});
    }
    nlohmann::ordered_json skipped = nlohmann::ordered_json::array();
    for (const Skipped& entry : report.skipped) {
        skipped.push_back({{"name", entry.name}, {"reason", entry.reason}});
    }
    const nlohmann::ordered_json all{
        {"benchmarks", benchmarks}, {"skipped", skipped}, {"cpus", report.cpus}};
    return all.dump(2) + '\n';
}

}  // namespace weir::bench
