// weir-bench-limiter: what a decision costs, beside what else one could use; all in one run.
// Exit codes: 0 done, 2 usage, 3 it could not be measured.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <iostream>
#include <iterator>
#include <string>

#include "tests/bench/directory_subjects.hpp"
#include "tests/bench/redis_subjects.hpp"
#include "tests/bench/report.hpp"
#include "tests/bench/rivals.hpp"
#include "tests/bench/scratch.hpp"
#include "tests/bench/team.hpp"
#include "tests/bench/team_subjects.hpp"
#include "tests/bench/weir_subjects.hpp"

namespace {

using weir::bench::Report;
using Subjects = std::vector<std::unique_ptr<weir::bench::Subject>>;

std::atomic<bool> stopped{false};

void stop(int) {
    stopped.store(true, std::memory_order_relaxed);  // ORDER(stop): a flag on its own
}

struct Options {
    bool json = false;
    unsigned turns = 200;
    std::string only;
};

bool wanted(const std::string& name, const Options& options) {
    return name.find(options.only) != std::string::npos;
}

/// What `make` makes, if any of it is wanted; or else nothing, and the report says of `names` why.
template <class Make>
Subjects made(Report& report, const Options& options, std::initializer_list<const char*> names,
              const Make& make) {
    Subjects subjects;
    const auto wants = [&](const char* name) { return wanted(name, options); };
    if (std::none_of(names.begin(), names.end(), wants)) return subjects;
    try {
        subjects = make();
    } catch (const std::exception& error) {
        for (const char* name : names) report.skipped.push_back({name, error.what()});
    }
    std::erase_if(subjects, [&](const auto& subject) { return !wanted(subject->name(), options); });
    return subjects;
}

void append(Subjects& all, Subjects&& more) {
    std::move(more.begin(), more.end(), std::back_inserter(all));
}

Report run(const Options& options) {
    weir::bench::Scratch scratch("limiter");
    weir::shm::Participant me = scratch.segment().join("benchmark");
    weir::bench::Rivals& rivals = weir::bench::make_rivals(scratch.segment());
    std::unique_ptr<weir::test::RedisServer> redis;
    Report report;
    // These are forked off, so they come first: there is little to inherit yet.
    Subjects teams = made(report, options,
                          {"contended_2_processes", "saturated_2_processes", "distinct_1_process",
                           "distinct_2_processes", "mutex_2_processes", "gcra_2_processes"},
                          [&] { return weir::bench::team_subjects(scratch.name()); });
    Subjects all = weir::bench::weir_subjects(scratch.segment(), me);
    std::erase_if(all, [&](const auto& subject) { return !wanted(subject->name(), options); });
    append(all, made(report, options, {"mutex_1_scope", "gcra_1_word"},
                     [&] { return weir::bench::rival_subjects(rivals); }));
    append(all, made(report, options, {"redis_unix", "redis_tcp"}, [&] {
               redis = std::make_unique<weir::test::RedisServer>();
               return weir::bench::redis_subjects(*redis);
           }));
    append(all, std::move(teams));
    append(all, made(report, options, {"make_limiter", "find_among_100k_limiters"},
                     [] { return weir::bench::directory_subjects(); }));
    report.cpus = static_cast<unsigned>(weir::bench::usable_cpus().size());
    report.rows = weir::bench::measure(all, options.turns, [] {
        return stopped.load(std::memory_order_relaxed);  // ORDER(stop)
    });
    return report;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Measures the limiter, and what else one could use, side by side.", "weir-bench-limiter"};
    app.add_flag("--json", options.json, "print JSON");
    app.add_option("--turns", options.turns, "rounds of each benchmark")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--only", options.only, "only benchmarks whose name contains this");
    app.set_version_flag("--version", WEIR_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    struct sigaction action {};
    action.sa_handler = &stop;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    try {
        const Report report = run(options);
        std::cout << (options.json ? weir::bench::as_json(report) : weir::bench::as_table(report));
    } catch (const std::exception& error) {
        std::cerr << "weir-bench-limiter: " << error.what() << '\n';
        return 3;
    }
    return 0;
}
