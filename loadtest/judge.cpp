#include "loadtest/judge.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weir::loadtest {
namespace {

/// A tick may be longer than its part of the window by the rounding of one division (shm/tick_scale.hpp).
constexpr Nanos kTickRounding = std::chrono::microseconds(1);

/// The longest time after which a unit has come back.
Nanos longest_window(Nanos window) { return window + window / kTicksPerWindow + kTickRounding; }

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

double seconds(Nanos time) { return std::chrono::duration<double>(time).count(); }

/// Successes in batches [first, last] if they were certainly admitted within less than `window`.
std::uint64_t certain_before(std::span<const Batch> batches, std::size_t last, Nanos window) {
    std::uint64_t sum = 0;
    for (std::size_t i = last; i-- > 0;) {
        if (batches[last].end - batches[i].start >= window) break;
        sum += batches[i].tally.successes();
    }
    return sum;
}

/// Visits the other batches whose units can have been held when a request of batch `index` was refused:
/// those of the window before, and those that began before this one was over.
template <class Visit>
void for_each_in_look_back(std::span<const Batch> batches, std::size_t index, Nanos window, Visit visit) {
    const Nanos from = batches[index].start - longest_window(window);
    for (std::size_t i = index; i-- > 0 && batches[i].end > from;) visit(batches[i].tally);
    for (std::size_t i = index + 1; i < batches.size() && batches[i].start < batches[index].end; ++i) {
        visit(batches[i].tally);
    }
}

/// Units that can have been held when batch `index` was refused, but for its own.
std::uint64_t possible_before(std::span<const Batch> batches, std::size_t index, Nanos window) {
    std::uint64_t sum = 0;
    for_each_in_look_back(batches, index, window,
                          [&](const Tally& tally) { sum += tally.successes() + tally.uncertain(); });
    return sum;
}

/// The errors that may hide admissions from a batch's look-back, its own among them.
std::uint64_t uncertain_before(std::span<const Batch> batches, std::size_t index, Nanos window) {
    std::uint64_t sum = batches[index].tally.uncertain();
    for_each_in_look_back(batches, index, window, [&](const Tally& tally) { sum += tally.uncertain(); });
    return sum;
}

/// The first arrival within the run. Ours cannot be earlier than the first batch, but for the error of
/// the translation between the clocks, which `transit` is an ample bound of.
std::size_t first_of_run(std::span<const Batch> batches, const Ledger& ledger, Nanos transit) {
    if (batches.empty()) return ledger.arrivals.size();
    const Nanos from = batches.front().start - transit;
    const auto found = std::partition_point(ledger.arrivals.begin(), ledger.arrivals.end(),
                                            [&](const Arrival& a) { return a.at < from; });
    return static_cast<std::size_t>(found - ledger.arrivals.begin());
}

/// The earliest moment at which an arrival can have been admitted.
Nanos earliest_admission(std::span<const Batch> batches, Nanos arrived, Nanos transit) {
    const Nanos by_transit = arrived - transit;
    const auto first = std::lower_bound(batches.begin(), batches.end(), by_transit,
                                        [](const Batch& b, Nanos at) { return b.end < at; });
    const bool is_ours = first != batches.end() && first->start <= arrived;
    return is_ours ? std::max(by_transit, first->start) : by_transit;
}

void count_verdicts(const Ledger& ledger, std::size_t first, LedgerSummary& summary) {
    for (std::size_t i = first; i < ledger.arrivals.size(); ++i) {
        switch (ledger.arrivals[i].verdict) {
            case Arrival::Verdict::accepted: ++summary.accepted; break;
            case Arrival::Verdict::refused: ++summary.refused; break;
            case Arrival::Verdict::failed: ++summary.failed; break;
        }
    }
}

/// Slides a window that ends at each arrival of the run over the whole ledger.
void find_fullest(std::span<const Batch> batches, const Ledger& ledger, const Rules& rules,
                  std::size_t first, LedgerSummary& summary) {
    const auto& all = ledger.arrivals;
    std::size_t oldest = 0;
    std::size_t oldest_proven = 0;
    for (std::size_t last = first; last < all.size(); ++last) {
        while (all[last].at - all[oldest].at >= rules.window) ++oldest;
        // earliest_admission never goes down along the ledger, so this window slides as well.
        while (oldest_proven < last &&
               all[last].at - earliest_admission(batches, all[oldest_proven].at, rules.transit) >=
                   rules.window) {
            ++oldest_proven;
        }
        summary.fullest_window = std::max<std::uint64_t>(summary.fullest_window, last - oldest + 1);
        summary.proven = std::max<std::uint64_t>(summary.proven, last - oldest_proven + 1);
    }
}

LedgerSummary summarize(std::span<const Batch> batches, const Ledger& ledger, const Rules& rules) {
    LedgerSummary summary;
    summary.url = ledger.url;
    summary.limit = ledger.limit;
    const std::size_t first = first_of_run(batches, ledger, rules.transit);
    count_verdicts(ledger, first, summary);
    find_fullest(batches, ledger, rules, first, summary);
    return summary;
}

/// Tokens that a running request may hold while batch `index` was sent.
std::uint64_t reserved_tokens(std::span<const Batch> batches, std::size_t index,
                              std::uint64_t answer_tokens) {
    const bool taught = std::any_of(batches.begin(), batches.end(), [&](const Batch& batch) {
        return batch.end <= batches[index].start && batch.tally.successes() > 0;
    });
    return answer_tokens +
           (taught ? answer_tokens / 2 + 2 : kUnknownCompletion);  // 2: it is rounded up, twice
}

/// Requests of batch `index` may have met all tokens of this upstream's limit in use. `from` and
/// `to` are when what they met was admitted.
bool tokens_used_up(std::span<const Batch> batches, std::size_t index, const Ledger& ledger,
                    const Rules& rules, Nanos from, Nanos to) {
    const auto still_running = std::find_if(batches.begin(), batches.end(), [&](const Batch& batch) {
        return batch.end > batches[index].start;
    });
    const std::uint64_t reserved = reserved_tokens(batches, index, *rules.answer_tokens);
    std::uint64_t held = reserved * (1 + uncertain_before(batches, index, rules.window));
    for (const Arrival& arrival : ledger.arrivals) {
        if (arrival.at <= from || arrival.at > to) continue;
        held += arrival.at < still_running->start ? *rules.answer_tokens : reserved;
    }
    return held >= (*ledger.token_limit * kUsedPercent + 99) / 100;
}

/// The first batch that was refused although this upstream had room for more.
void find_unused(std::span<const Batch> batches, const Ledger& ledger, const Rules& rules,
                 std::vector<Finding>& findings) {
    const std::uint64_t needed = (*ledger.limit * kUsedPercent + 99) / 100;
    for (std::size_t b = 0; b < batches.size(); ++b) {
        if (batches[b].tally.refusals() == 0) continue;
        const Nanos from = batches[b].start - longest_window(rules.window);
        const Nanos to = batches[b].end + rules.transit;
        const auto after = [&](Nanos time) {
            return std::partition_point(ledger.arrivals.begin(), ledger.arrivals.end(),
                                        [&](const Arrival& a) { return a.at <= time; });
        };
        const auto admitted = static_cast<std::uint64_t>(after(to) - after(from));
        const std::uint64_t uncertain = uncertain_before(batches, b, rules.window);
        if (admitted + uncertain >= needed) continue;
        if (ledger.token_limit && rules.answer_tokens &&
            tokens_used_up(batches, b, ledger, rules, from, to)) {
            continue;
        }
        findings.push_back(
            {Fault::unused,
             fmt::format("{}: {} requests of {} {} were refused although only {} of {} had been "
                         "admitted in the window before",
                         ledger.url, batches[b].tally.refusals(), rules.batch_word, b + 1, admitted,
                         *ledger.limit)});
        return;
    }
}

void judge_ledger(std::span<const Batch> batches, const Ledger& ledger, const LedgerSummary& summary,
                  const Rules& rules, std::vector<Finding>& findings) {
    if (summary.refused > 0) {
        findings.push_back(
            {Fault::upstream_refused, fmt::format("{}: the upstream refused {} requests that should not "
                                                  "have reached it", ledger.url, summary.refused)});
    }
    if (ledger.limit && summary.proven > *ledger.limit) {
        findings.push_back({Fault::limit_broken,
                            fmt::format("{}: {} were admitted within {} s, the limit is {}", ledger.url,
                                        summary.proven, seconds(rules.window), *ledger.limit)});
    }
    if (ledger.dropped > 0) {
        findings.push_back(
            {Fault::nothing_judged, fmt::format("{}: the ledger has forgotten {} arrivals, so that no "
                                                "window can be counted", ledger.url, ledger.dropped)});
    } else if (ledger.limit) {
        find_unused(batches, ledger, rules, findings);
    }
}

void find_over_limit(std::span<const Batch> batches, const Judgement& judgement, std::uint64_t limit,
                     const Rules& rules, std::vector<Finding>& findings) {
    for (std::size_t b = 0; b < batches.size(); ++b) {
        const std::uint64_t successes = batches[b].tally.successes();
        if (successes <= judgement.expected[b].at_most) continue;
        const std::uint64_t before = certain_before(batches, b, rules.window);
        findings.push_back({Fault::limit_broken,
                            fmt::format("{} {} ended with {} successes within {} s, the limit is {}",
                                        rules.batch_word, b + 1, before + successes,
                                        seconds(rules.window), limit)});
        return;
    }
}

void find_under_expected(std::span<const Batch> batches, const Judgement& judgement, const Rules& rules,
                         std::vector<Finding>& findings) {
    std::uint64_t fullest = 0;
    for (std::size_t b = 0; b < batches.size(); ++b) {
        const Tally& tally = batches[b].tally;
        const std::uint64_t before = possible_before(batches, b, rules.window);
        fullest = std::max(fullest, before + tally.successes() + tally.uncertain());
        if (tally.refusals() == 0) continue;
        if (tally.successes() + tally.uncertain() >= judgement.expected[b].at_least) continue;
        findings.push_back(
            {Fault::unused,
             fmt::format("{} {}: {} successes and {} refusals, although the window had room for {}",
                         rules.batch_word, b + 1, tally.successes(), tally.refusals(),
                         judgement.expected[b].at_least)});
        return;
    }
    if (fullest < *rules.expect) {
        findings.push_back({Fault::too_few, fmt::format("the fullest window had {} successes, expected {}",
                                                        fullest, *rules.expect)});
    }
}

void judge_successes(std::span<const Batch> batches, const Rules& rules, Judgement& judgement) {
    const auto limit = rules.expect ? rules.expect : rules.limit;
    if (!limit) return;
    for (std::size_t b = 0; b < batches.size(); ++b) {
        judgement.expected.push_back(expected_successes(batches, b, *limit, rules.window));
    }
    find_over_limit(batches, judgement, *limit, rules, judgement.findings);
    if (rules.expect) find_under_expected(batches, judgement, rules, judgement.findings);
}

/// The most successes that batches wholly within one window have. A batch longer than the window
/// proves nothing.
std::uint64_t fullest_by_batches(std::span<const Batch> batches, Nanos window) {
    std::uint64_t fullest = 0;
    for (std::size_t b = 0; b < batches.size(); ++b) {
        if (batches[b].end - batches[b].start >= window) continue;
        fullest = std::max(fullest,
                           certain_before(batches, b, window) + batches[b].tally.successes());
    }
    return fullest;
}

}  // namespace

Expected expected_successes(std::span<const Batch> batches, std::size_t index, std::uint64_t limit,
                            Nanos window) {
    const Batch& batch = batches[index];
    const std::uint64_t requests = batch.tally.total();
    Expected expected;
    expected.at_least = std::min(requests, minus(limit, possible_before(batches, index, window)));
    // A batch as long as the window or longer can have more than one window's successes.
    expected.at_most = batch.end - batch.start >= window
                           ? requests
                           : std::min(requests, minus(limit, certain_before(batches, index, window)));
    return expected;
}

Judgement judge(std::span<const Batch> batches, std::span<const Ledger> ledgers, const Rules& rules) {
    Judgement judgement;
    for (const Batch& batch : batches) judgement.total.add(batch.tally);
    judgement.fullest_window = fullest_by_batches(batches, rules.window);
    judge_successes(batches, rules, judgement);
    bool has_limit = rules.expect || rules.limit;
    for (const Ledger& ledger : ledgers) {
        judgement.ledgers.push_back(summarize(batches, ledger, rules));
        judge_ledger(batches, ledger, judgement.ledgers.back(), rules, judgement.findings);
        has_limit = has_limit || ledger.limit.has_value();
    }
    if (!has_limit && judgement.total.successes() == 0) {
        judgement.findings.push_back({Fault::nothing_judged, "no request succeeded"});
    }
    return judgement;
}

}  // namespace weir::loadtest
