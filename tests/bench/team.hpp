// Several processes at work on the same thing, in short stints that begin together.
//
// Each process is pinned to a CPU of its own and blocks between stints. A stint counts only if every
// process had its CPU for nearly all of it: contention is measured while it happens, or not at all.
//
// Thread safety: none.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shm/clock.hpp"
#include "tests/bench/measure.hpp"

namespace weir::bench {

/// What one process did in one stint.
struct Tally {
    std::uint64_t decisions = 0;
    std::uint64_t admitted = 0;
    std::uint64_t retries = 0;  ///< compare-and-swaps lost
};

/// Works until the clock says `until`.
using Stint = std::function<Tally(shm::Nanos until)>;

class Team final : public Subject {
 public:
    static constexpr unsigned kProcessesMax = 64;

    /// Forks `processes` (at most kProcessesMax). Each calls `prepare` with its place, once, to open what it
    /// works with; what that returns does the stints. Throws std::runtime_error if a process fails.
    Team(std::string name, unsigned processes, const std::function<Stint(unsigned place)>& prepare);
    ~Team() override;

    Round round() override;
    unsigned turns_per_round() const noexcept override { return 2; }
    bool joint() const noexcept override { return members_.size() > 1; }
    std::string note() const override;

 private:
    struct Board;
    struct Member;

    void await_all(const char* what);

    std::vector<std::unique_ptr<Member>> members_;
    std::unique_ptr<Board> board_;
    Tally total_;           // over all undisturbed stints
    double shared_ns_ = 0;  // while all of them were at work
    double stints_ns_ = 0;  // from the first one's begin to the last one's end
};

/// Decides until then: `decide(now)` says whether it was admitted.
template <class Decide>
Tally work_until(shm::Nanos until, Decide&& decide) {
    Tally tally;
    for (shm::Nanos now = shm::now(); now < until; now = shm::now()) {
        ++tally.decisions;
        if (decide(now)) ++tally.admitted;
    }
    return tally;
}

/// The CPUs that this process may run on.
std::vector<int> usable_cpus();

}  // namespace weir::bench
