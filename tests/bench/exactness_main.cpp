// weir-bench-exactness: several processes ask a range of limiters for far more than they allow, all at once,
// and every admission is judged. Exit codes: 0 no limit was exceeded, 1 one was, 2 usage, 3 it did not work.
#include <fmt/format.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "shm/word.hpp"
#include "tests/bench/exactness.hpp"
#include "tests/bench/scratch.hpp"
#include "tests/multiprocess/crew.hpp"

namespace {

using weir::bench::Admitted;
using weir::bench::Exactness;
using weir::shm::Nanos;

struct Options {
    unsigned processes = 3;
    unsigned window_ms = 2000;
    unsigned windows = 10;
    bool json = false;
};

/// What is asked of one limiter.
struct Load {
    std::uint64_t limit;
    std::uint64_t units_max;  // each request asks for 1 .. units_max
    bool settled;             // what a request really costs is known afterwards, and less

    const char* name() const { return units_max == 1 ? "requests" : settled ? "settled" : "weighted"; }
};

constexpr Load kLoads[] = {
    {1, 1, false},   {3, 1, false},       {100, 1, false},         {10'000, 1, false},
    {3, 2, false},   {100, 20, false},    {10'000, 500, false},    {5'000'000, 8'000, false},
    {100, 20, true}, {10'000, 500, true}, {5'000'000, 8'000, true}};
constexpr std::size_t kLoadCount = std::size(kLoads);
constexpr std::size_t kProcessesMax = 16;

/// What one process had admitted by one limiter.
struct Log {
    static constexpr std::uint64_t kMax = 400'000;
    weir::shm::Word count;
    Admitted entries[kMax];  // only what is used is ever touched
};

struct Board {
    weir::shm::Word refused[kProcessesMax];
    Log logs[kProcessesMax][kLoadCount];
};

class Worker {
 public:
    Worker(const std::string& segment, const Options& options, Board& board, unsigned place)
        : segment_(weir::shm::Segment::open(weir::bench::options_of(segment))),
          me_(segment_.join(fmt::format("process {}", place))),
          board_(board),
          place_(place),
          random_(place + 1) {
        for (const Load& load : kLoads) {
            const std::string of_load = fmt::format("{} {}", load.name(), load.limit);
            const weir::shm::LimiterName name{"bench", of_load, weir::shm::Unit::tokens,
                                              std::chrono::milliseconds(options.window_ms)};
            limiters_.push_back(segment_.limiter(name, load.limit));
        }
    }

    /// Asks every limiter in turn until it refuses; looks again after a twentieth of a millisecond.
    void run(Nanos until) {
        while (weir::shm::now() < until) {
            for (std::size_t i = 0; i < kLoadCount; ++i) {
                for (int asked = 0; asked < 64 && ask(i); ++asked) {
                }
            }
            const timespec pause{0, 50'000};
            ::ppoll(nullptr, 0, &pause, nullptr);
        }
    }

 private:
    bool ask(std::size_t index) {
        const Load& load = kLoads[index];
        const weir::shm::Charge charge{limiters_[index], 1 + random_() % load.units_max};
        weir::shm::Admission admission = me_.admit({{&charge, 1}, {}}, weir::shm::now());
        if (!admission.admitted()) {
            board_.refused[place_].fetch_add(1, std::memory_order_relaxed);  // ORDER(counter)
            return false;
        }
        const std::uint64_t cost = load.settled ? 1 + random_() % charge.units : charge.units;
        admission.ticket.settle(0, cost, weir::shm::now());
        Log& log = board_.logs[place_][index];
        const std::uint64_t at = log.count.load(std::memory_order_relaxed);  // ORDER(counter): one writer
        if (at == Log::kMax) throw std::runtime_error("a log is full");
        log.entries[at] = {static_cast<std::uint64_t>(admission.ticket.admitted_at().count()), cost};
        log.count.store(at + 1, std::memory_order_relaxed);  // ORDER(counter): read after the process's end
        return true;
    }

    weir::shm::Segment segment_;
    weir::shm::Participant me_;
    Board& board_;
    unsigned place_;
    std::mt19937_64 random_;
    std::vector<weir::shm::Limiter> limiters_;
};

struct Result {
    Load load;
    Exactness exactness;
};

std::vector<Result> judged(const Board& board, const Options& options) {
    std::vector<Result> results;
    for (std::size_t i = 0; i < kLoadCount; ++i) {
        std::vector<Admitted> all;
        for (unsigned place = 0; place < options.processes; ++place) {
            const Log& log = board.logs[place][i];
            const std::uint64_t count = log.count.load(std::memory_order_relaxed);  // ORDER(counter)
            all.insert(all.end(), log.entries, log.entries + count);
        }
        results.push_back({kLoads[i], weir::bench::judge(std::move(all), kLoads[i].limit,
                                                         std::chrono::milliseconds(options.window_ms))});
    }
    return results;
}

std::vector<Result> run(const Options& options) {
    weir::bench::Scratch scratch("exactness");
    const weir::shm::test::Shared<Board> board;
    std::vector<weir::shm::test::Child> workers;
    const Nanos until = weir::shm::now() + options.windows * std::chrono::milliseconds(options.window_ms);
    for (unsigned place = 0; place < options.processes; ++place) {
        workers.emplace_back([&, place] {
            Worker(scratch.name(), options, *board, place).run(until);
            return 0;
        });
    }
    for (auto& worker : workers) {
        if (worker.wait() != 0) throw std::runtime_error("a process failed");
    }
    for (unsigned place = 0; place < options.processes; ++place) {
        // ORDER(counter): the process has ended.
        if (board->refused[place].load(std::memory_order_relaxed) == 0) {
            throw std::runtime_error("a process met no refusal: that was no overload");
        }
    }
    return judged(*board, options);
}

std::string as_text(const std::vector<Result>& results, const Options& options) {
    std::string text = fmt::format("{:>10}  {:<10}{:>12}{:>14}{:>11}{:>14}\n", "limit", "load", "units",
                                   "worst window", "overshoot", "sustained");
    for (const Result& result : results) {
        text += fmt::format("{:>10}  {:<10}{:>12}{:>14}{:>11}{:>12.1f} %\n", result.load.limit,
                            result.load.name(), result.exactness.units, result.exactness.worst,
                            result.exactness.overshoot, 100 * result.exactness.sustained);
    }
    return text + fmt::format("\n{} processes, {} windows of {} ms, all limiters at once.\n",
                              options.processes, options.windows, options.window_ms);
}

std::string as_json(const std::vector<Result>& results) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const Result& result : results) {
        rows.push_back({{"limit", result.load.limit},
                        {"load", result.load.name()},
                        {"units", result.exactness.units},
                        {"worst_window", result.exactness.worst},
                        {"overshoot", result.exactness.overshoot},
                        {"sustained", result.exactness.sustained}});
    }
    return nlohmann::ordered_json{{"exactness", rows}}.dump(2) + '\n';
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Overloads a range of limiters from several processes and judges what they admit.",
                 "weir-bench-exactness"};
    app.add_flag("--json", options.json, "print JSON");
    app.add_option("--processes", options.processes, "that ask")
        ->check(CLI::Range(1u, static_cast<unsigned>(kProcessesMax)))
        ->capture_default_str();
    app.add_option("--window-ms", options.window_ms, "length of every limiter's window")
        ->check(CLI::Range(50, 60'000))
        ->capture_default_str();
    app.add_option("--windows", options.windows, "how long")
        ->check(CLI::Range(2, 1'000))
        ->capture_default_str();
    app.set_version_flag("--version", WEIR_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        const std::vector<Result> results = run(options);
        std::cout << (options.json ? as_json(results) : as_text(results, options));
        for (const Result& result : results) {
            if (result.exactness.overshoot != 0) return 1;
        }
    } catch (const std::exception& error) {
        std::cerr << "weir-bench-exactness: " << error.what() << '\n';
        return 3;
    }
    return 0;
}
