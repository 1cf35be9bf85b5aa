// Runs made up for the judge: batches, ledgers, rules.
#pragma once

#include <chrono>
#include <vector>

#include "loadtest/judge.hpp"

namespace weir::loadtest::test {

using namespace std::chrono_literals;

inline constexpr Nanos kWindow = 60s;

/// A batch of 600 from `start` on that took 100 ms; what is no success was refused.
inline Batch batch(Nanos start, std::uint64_t successes, std::uint64_t requests = 600) {
    Batch made;
    made.start = start;
    made.end = start + 100ms;
    made.tally.add(Outcome::success, successes);
    made.tally.add(Outcome::refused, requests - successes);
    return made;
}

/// `n` arrivals at `at` and every `step` after.
inline void arrive(Ledger& ledger, Nanos at, std::size_t n, Nanos step = 0ns,
            Arrival::Verdict verdict = Arrival::Verdict::accepted) {
    for (std::size_t i = 0; i < n; ++i) {
        ledger.arrivals.push_back({at + step * static_cast<std::int64_t>(i), verdict});
    }
}

inline Ledger ledger(std::uint64_t limit) {
    Ledger made;
    made.url = "http://up";
    made.limit = limit;
    return made;
}

inline Rules expecting(std::uint64_t expect) {
    Rules rules;
    rules.window = kWindow;
    rules.expect = expect;
    return rules;
}

inline Rules nothing_expected() {
    Rules rules;
    rules.window = kWindow;
    return rules;
}

inline std::vector<Fault> faults(const Judgement& judgement) {
    std::vector<Fault> found;
    for (const Finding& finding : judgement.findings) found.push_back(finding.fault);
    return found;
}

inline std::vector<Fault> judge_batches(const std::vector<Batch>& batches, const Rules& rules) {
    return faults(judge(batches, {}, rules));
}

inline std::vector<Fault> judge_ledger(const std::vector<Batch>& batches, const Ledger& ledger,
                                const Rules& rules = nothing_expected()) {
    return faults(judge(batches, std::vector{ledger}, rules));
}

using Faults = std::vector<Fault>;

}  // namespace weir::loadtest::test
