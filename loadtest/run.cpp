#include "loadtest/run.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <optional>

#include "loadtest/crew.hpp"
#include "loadtest/plan.hpp"
#include "loadtest/progress.hpp"
#include "loadtest/proxy_caller.hpp"
#include "loadtest/report.hpp"
#include "loadtest/router_caller.hpp"
#include "loadtest/worker.hpp"
#include "router/random.hpp"
#include "shm/clock.hpp"

namespace weir::loadtest {
namespace {

constexpr Nanos kLedgerTimeout = std::chrono::seconds(30);
constexpr Nanos kShowEvery = std::chrono::milliseconds(500);

/// What the batches, or the slices of an open loop, left behind.
struct Record {
    std::vector<Batch> batches;
    std::vector<std::time_t> started;
    std::optional<Pace> pace;
};

/// Every request of a batch needs a connection, and in router mode there may be one to each upstream.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// In a working process.
void work(const Options& options, const Plan& plan, int socket) {
    asio::io_context io(1);
    std::unique_ptr<Caller> caller;
    if (options.mode == Mode::proxy) {
        const Nanos timeout = shm::from_seconds(options.timeout_seconds);
        caller = std::make_unique<ProxyCaller>(io, plan.proxies, options.instances, options.api_key, timeout,
                                               router::random_seed());
    } else {
        caller = std::make_unique<RouterCaller>(io, plan.config, options.instances, router::random_seed());
    }
    Worker(io, *caller, socket, options.model, router::random_seed()).run();
}

/// Asks for one ledger, with or without its list of arrivals. Throws if that cannot be had.
Ledger read_ledger(const LedgerSource& source, bool whole) {
    asio::io_context io(1);
    Client client(io, source.url, "", kLedgerTimeout);
    Answer answer;
    Nanos sent = shm::now();
    Nanos received = sent;
    const auto take = [&](std::exception_ptr error, Answer got) {
        if (error) std::rethrow_exception(error);
        received = shm::now();
        answer = std::move(got);
    };
    asio::co_spawn(io, client.get(whole ? "/__ledger" : "/__ledger?summary=1"), take);
    io.run();
    if (answer.status != 200) {
        throw BadLedger(fmt::format("{}/__ledger: expected an answer with status 200, got {}", source.text,
                                    answer.status == 0 ? std::string(name_of(answer.outcome))
                                                       : std::to_string(answer.status)));
    }
    if (!whole) return {};
    Ledger ledger = parse_ledger(source.text, answer.body, {sent, received});
    if (source.limit) ledger.limit = source.limit;
    ledger.token_limit = source.token_limit;
    return ledger;
}

/// Waits between two batches, and shows how long it still is.
void pause(Crew& crew, Nanos duration, Progress& progress) {
    const Nanos until = shm::now() + duration;
    for (Nanos left = duration; left > Nanos(0); left = until - shm::now()) {
        progress.show_wait(left);
        crew.pause(std::min(left, kShowEvery));
    }
    progress.clear();
}

Record run_batches(const Options& options, Crew& crew, std::FILE* out) {
    Record record;
    Progress progress(stderr);
    for (unsigned i = 0; i < options.batches; ++i) {
        if (i > 0) pause(crew, shm::from_seconds(options.pause_seconds), progress);
        record.started.push_back(std::time(nullptr));
        fmt::print(out, "{}", batch_trigger_line(record.started.back()));
        std::fflush(out);
        const auto show = [&](std::uint64_t done) { progress.show(done, options.requests); };
        record.batches.push_back(crew.run_batch(options.requests, show));
        progress.clear();
        fmt::print(out, "{}", batch_result_line(record.batches.back()));
        std::fflush(out);
    }
    return record;
}

/// As short as a tick of the window, so that the judge sees as sharply as the limiter does; but no more
/// than so many.
Nanos slice_of(const Options& options, Nanos window) {
    constexpr int kSlicesMax = 10'000;
    return std::max({window / kTicksPerWindow, shm::from_seconds(options.seconds) / kSlicesMax, Nanos(1)});
}

Record run_open_loop(const Options& options, Crew& crew, Nanos window, std::FILE* out) {
    Record record;
    Progress progress(stderr);
    const std::uint64_t requests = options.open_loop_requests();
    const std::time_t begin = std::time(nullptr);
    fmt::print(out, "{} requests, {} a second\n", requests, *options.rate);
    std::fflush(out);
    const auto show = [&](std::uint64_t done) { progress.show(done, requests); };
    OpenLoop loop =
        crew.run_open_loop(requests, shm::from_seconds(1 / *options.rate), slice_of(options, window), show);
    progress.clear();
    record.batches = std::move(loop.slices);
    const Nanos first = record.batches.front().start;
    for (const Batch& slice : record.batches) {
        const auto since = std::chrono::floor<std::chrono::seconds>(slice.start - first);
        record.started.push_back(begin + since.count());
    }
    const Nanos lasted = std::max(record.batches.back().end - first, shm::from_seconds(options.seconds));
    record.pace = Pace{*options.rate, static_cast<double>(loop.latencies.count()) * 1e9 /
                                          static_cast<double>(lasted.count()), loop.latencies};
    fmt::print(out, "{}", pace_text(*record.pace));
    return record;
}

/// Whether not a single request of the run reached anybody.
bool nobody_there(const Tally& total) {
    return total.total() > 0 && total.of(Outcome::connect_failed) == total.total();
}

int conclude(const Options& options, const Plan& plan, const Record& record, std::FILE* out) {
    std::vector<Ledger> ledgers;
    for (const LedgerSource& source : plan.ledgers) ledgers.push_back(read_ledger(source, true));
    const Judgement judgement = judge(record.batches, ledgers, plan.rules);
    if (!options.json.empty()) {
        const std::string text =
            to_json(options, record.batches, record.started, record.pace, judgement, plan.rules);
        std::FILE* file = options.json == "-" ? stdout : std::fopen(options.json.c_str(), "w");
        if (file == nullptr) throw std::runtime_error(fmt::format("cannot write {}", options.json));
        fmt::print(file, "{}", text);
        const bool failed = file == stdout ? std::fflush(file) != 0 : std::fclose(file) != 0;
        if (failed) throw std::runtime_error(fmt::format("cannot write {}", options.json));
    }
    if (nobody_there(judgement.total)) {
        throw std::runtime_error("no connection could be made: is anything listening there?");
    }
    fmt::print(out, "{}", verdict_text(judgement, plan.rules));
    return judgement.held() ? kExitHeld : kExitBroken;
}

}  // namespace

int run(const Options& options) {
    std::vector<std::string> complaints;
    const auto plan = make_plan(options, complaints);
    for (const std::string& line : complaints) fmt::print(stderr, "weir-loadtest: {}\n", line);
    if (!plan) return kExitUsage;
    raise_descriptor_limit();
    // Whoever asks for JSON on stdout wants nothing else there.
    std::FILE* out = options.json == "-" ? stderr : stdout;
    try {
        for (const LedgerSource& source : plan->ledgers) read_ledger(source, false);
        Record record;
        {
            Crew crew(options.processes, [&](int socket, unsigned) { work(options, *plan, socket); });
            record = options.rate ? run_open_loop(options, crew, plan->rules.window, out)
                                  : run_batches(options, crew, out);
        }
        return conclude(options, *plan, record, out);
    } catch (const std::exception& error) {
        fmt::print(stderr, "weir-loadtest: {}\n", error.what());
        return kExitCannotRun;
    }
}

}  // namespace weir::loadtest
