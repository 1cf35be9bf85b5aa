#include "loadtest/report.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weir::loadtest {
namespace {

using Json = nlohmann::ordered_json;

double seconds(Nanos time) { return std::chrono::duration<double>(time).count(); }
double milliseconds(Nanos time) { return std::chrono::duration<double, std::milli>(time).count(); }

struct Percentile {
    const char* name;
    double share;
};
constexpr Percentile kPercentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

std::string_view name_of(Fault fault) {
    switch (fault) {
        case Fault::limit_broken: return "limit_broken";
        case Fault::upstream_refused: return "upstream_refused";
        case Fault::unused: return "unused";
        case Fault::too_few: return "too_few";
        case Fault::nothing_judged: return "nothing_judged";
    }
    return "unknown";
}

template <class Visit>
void for_each_error(const Tally& tally, Visit visit) {
    for (std::size_t i = 0; i < kOutcomes; ++i) {
        const auto outcome = static_cast<Outcome>(i);
        if (outcome == Outcome::success || outcome == Outcome::refused || tally.counts[i] == 0) continue;
        visit(outcome, tally.counts[i]);
    }
}

std::string errors_text(const Tally& tally) {
    std::string kinds;
    for_each_error(tally, [&](Outcome outcome, std::uint64_t count) {
        kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, name_of(outcome));
    });
    return kinds.empty() ? "0 errors" : fmt::format("{} errors ({})", tally.errors(), kinds);
}

std::string ledger_text(const LedgerSummary& ledger, const Rules& rules) {
    std::string text = fmt::format("upstream  {}: {} arrived, {} refused there; fullest {} s: {}", ledger.url,
                                   ledger.accepted + ledger.refused + ledger.failed, ledger.refused,
                                   seconds(rules.window), ledger.fullest_window);
    if (ledger.limit) text += fmt::format(" of {}", *ledger.limit);
    if (ledger.limit && ledger.fullest_window > *ledger.limit && ledger.proven <= *ledger.limit) {
        text += fmt::format(" by arrival, {} by admission", ledger.proven);
    }
    return text + "\n";
}

std::string pass_text(const Judgement& judgement, const Rules& rules) {
    bool has_ledger_limit = false;
    for (const LedgerSummary& ledger : judgement.ledgers) has_ledger_limit |= ledger.limit.has_value();
    if (rules.expect || has_ledger_limit) {
        return "PASS: every limit held, and no capacity was left unused\n";
    }
    if (rules.limit) return "PASS: the limit held (give --expect or --ledger to judge unused capacity too)\n";
    return "PASS: requests succeeded (give --expect or --ledger to judge a limit)\n";
}

Json tally_json(const Tally& tally) {
    Json errors = Json::object();
    for_each_error(tally, [&](Outcome outcome, std::uint64_t count) {
        errors[name_of(outcome).data()] = count;
    });
    return {{"requests", tally.total()},
            {"successes", tally.successes()},
            {"refusals", tally.refusals()},
            {"errors", errors}};
}

Json optional_json(const std::optional<std::uint64_t>& value) { return value ? Json(*value) : Json(nullptr); }

Json batches_json(std::span<const Batch> batches, std::span<const std::time_t> started,
                  const Judgement& judgement) {
    Json list = Json::array();
    for (std::size_t i = 0; i < batches.size(); ++i) {
        Json one = {{"started_unix", started[i]},
                    {"start_seconds", seconds(batches[i].start - batches[0].start)},
                    {"seconds", seconds(batches[i].end - batches[i].start)}};
        one.update(tally_json(batches[i].tally));
        if (i < judgement.expected.size()) {
            one["expected"] = {{"at_least", judgement.expected[i].at_least},
                               {"at_most", judgement.expected[i].at_most}};
        }
        list.push_back(std::move(one));
    }
    return list;
}

Json ledgers_json(std::span<const LedgerSummary> ledgers) {
    Json list = Json::array();
    for (const LedgerSummary& ledger : ledgers) {
        list.push_back({{"url", ledger.url},
                        {"limit", optional_json(ledger.limit)},
                        {"accepted", ledger.accepted},
                        {"refused", ledger.refused},
                        {"failed", ledger.failed},
                        {"fullest_window", ledger.fullest_window},
                        {"fullest_window_proven", ledger.proven}});
    }
    return list;
}

Json pace_json(const Pace& pace) {
    Json latency = Json::object();
    for (const Percentile& percentile : kPercentiles) {
        latency[percentile.name] = milliseconds(pace.latencies.percentile(percentile.share));
    }
    latency["max"] = milliseconds(pace.latencies.max());
    return {{"wanted_rate", pace.wanted_rate},
            {"achieved_rate", pace.achieved_rate},
            {"latency_ms", latency}};
}

Json options_json(const Options& options) {
    Json json = {{"instances", options.instances}, {"processes", options.processes},
                 {"model", options.model}};
    if (options.rate) {
        json.update({{"rate", *options.rate}, {"seconds", options.seconds}});
    } else {
        json.update({{"requests", options.requests}, {"batches", options.batches},
                     {"pause_seconds", options.pause_seconds}});
    }
    if (options.mode == Mode::proxy) json["urls"] = options.urls;
    if (options.mode == Mode::router) json["config"] = options.config;
    return json;
}

}  // namespace

std::string batch_trigger_line(std::time_t at) {
    return fmt::format("triggered new batch - {:%H-%M}\n", fmt::gmtime(at));
}

std::string batch_result_line(const Batch& batch) {
    return fmt::format("{} {:.6f} {}\n", batch.tally.total(), seconds(batch.end - batch.start),
                       batch.tally.successes());
}

std::string pace_text(const Pace& pace) {
    std::string text = fmt::format("pace      {:.1f} answers/s of {} wanted; latency from when due:",
                                   pace.achieved_rate, pace.wanted_rate);
    for (const Percentile& percentile : kPercentiles) {
        text += fmt::format(" {} {:.2f} ms,", percentile.name,
                            milliseconds(pace.latencies.percentile(percentile.share)));
    }
    return text + fmt::format(" max {:.2f} ms\n", milliseconds(pace.latencies.max()));
}

std::string verdict_text(const Judgement& judgement, const Rules& rules) {
    const Tally& total = judgement.total;
    std::string text = fmt::format("requests  {}: {} successes, {} refusals, {}\n", total.total(),
                                   total.successes(), total.refusals(), errors_text(total));
    text += fmt::format("window    {} s, the fullest had {} successes", seconds(rules.window),
                        judgement.fullest_window);
    if (const auto limit = rules.expect ? rules.expect : rules.limit) text += fmt::format(" of {}", *limit);
    text += "\n";
    for (const LedgerSummary& ledger : judgement.ledgers) text += ledger_text(ledger, rules);
    if (judgement.held()) return text + pass_text(judgement, rules);
    for (const Finding& finding : judgement.findings) text += fmt::format("fault     {}\n", finding.text);
    return text + fmt::format("FAIL: {}\n", judgement.findings.front().text);
}

std::string to_json(const Options& options, std::span<const Batch> batches,
                    std::span<const std::time_t> started, const std::optional<Pace>& pace,
                    const Judgement& judgement, const Rules& rules) {
    Json findings = Json::array();
    for (const Finding& finding : judgement.findings) {
        findings.push_back({{"fault", name_of(finding.fault)}, {"text", finding.text}});
    }
    const Json json = {{"mode", options.mode == Mode::proxy ? "proxy" : "router"},
                       {"options", options_json(options)},
                       {"window_seconds", seconds(rules.window)},
                       {"transit_seconds", seconds(rules.transit)},
                       {"expect", optional_json(rules.expect)},
                       {"limit", optional_json(rules.limit)},
                       {"answer_tokens", optional_json(rules.answer_tokens)},
                       {"pace", pace ? pace_json(*pace) : Json(nullptr)},
                       {"batches", batches_json(batches, started, judgement)},
                       {"total", tally_json(judgement.total)},
                       {"fullest_window", judgement.fullest_window},
                       {"ledgers", ledgers_json(judgement.ledgers)},
                       {"findings", findings},
                       {"verdict", judgement.held() ? "PASS" : "FAIL"}};
    return json.dump(2) + "\n";
}

}  // namespace weir::loadtest
