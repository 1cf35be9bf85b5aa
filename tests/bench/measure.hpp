// How the benchmarks measure: rounds of all subjects in turn, so that whatever else the machine does
// falls on all of them alike, and a figure that stands for the code rather than for its neighbours.
//
// Not Google Benchmark: it runs one subject to its end before the next begins, has no notion of
// several processes that must be seen to run at once, and reports a mean, which on a busy machine
// says more about the neighbours.
//
// Thread safety: none; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace weir::bench {

/// What one round of a subject took.
struct Round {
    std::uint64_t operations = 0;
    double ns = 0;           ///< of CPU time or of real time, as the subject says
    bool disturbed = false;  ///< something else took the CPU: it does not stand for the subject
};

/// Something to measure.
class Subject {
 public:
    explicit Subject(std::string name) : name_(std::move(name)) {}
    virtual ~Subject() = default;
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

    const std::string& name() const noexcept { return name_; }

    /// Runs some milliseconds of operations.
    virtual Round round() = 0;

    /// One round in so many turns: for those whose rounds take long.
    virtual unsigned turns_per_round() const noexcept { return 1; }

    /// Whether several processes work at it: then the fastest round is one in which they got out of
    /// each other's way, and only the median stands for it.
    virtual bool joint() const noexcept { return false; }

    /// What else there is to say once all rounds are done; may be empty.
    virtual std::string note() const { return {}; }

 private:
    std::string name_;
};

/// A loop of one thread, measured by the CPU time that it takes once it is warm.
class Loop final : public Subject {
 public:
    /// `body(n)` does n operations.
    Loop(std::string name, std::uint64_t operations, std::function<void(std::uint64_t)> body)
        : Subject(std::move(name)), operations_(operations), body_(std::move(body)) {}
    Round round() override;

 private:
    std::uint64_t operations_;
    std::function<void(std::uint64_t)> body_;
};

/// What is known of a subject after its rounds. Times are per operation.
struct Row {
    std::string name;
    double ns = 0;  ///< the figure: the fastest round, or the median one of a joint subject
    double min_ns = 0;
    double median_ns = 0;
    std::size_t rounds = 0;     ///< that count
    std::size_t disturbed = 0;  ///< that do not
    std::string note;
};

/// The row of one subject. All rounds count if every one of them was disturbed, and the note says so.
Row summed_up(const Subject& subject, const std::vector<Round>& rounds);

/// Runs `turns` turns of all subjects, after one that does not count. Ends early when `stop` says so.
std::vector<Row> measure(const std::vector<std::unique_ptr<Subject>>& subjects, unsigned turns,
                         const std::function<bool()>& stop);

/// CPU time of this thread, ns.
double thread_cpu_ns() noexcept;

/// Keeps the compiler from leaving out what made `value`.
template <class T>
inline void keep(const T& value) noexcept {
    asm("" : : "r,m"(value) : "memory");
}

}  // namespace weir::bench
