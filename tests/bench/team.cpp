#include "tests/bench/team.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "shm/word.hpp"
#include "tests/multiprocess/crew.hpp"

namespace weir::bench {

namespace {

using shm::Nanos;
using shm::Word;

constexpr auto kAcquire = std::memory_order_acquire;  // ORDER(team): pairs with kRelease below
constexpr auto kRelease = std::memory_order_release;  // ORDER(team): the stint's words before the signal

/// Shorter than a time slice, so that many stints pass undisturbed on a busy machine.
constexpr Nanos kStint = std::chrono::milliseconds(2);
constexpr Nanos kLeadIn = std::chrono::microseconds(30);

/// Of its time at work, the share that a process must have had a CPU for.
constexpr double kOnCpuMin = 0.97;

/// A member that has not come by then never will.
constexpr time_t kPatienceSeconds = 60;

void pin_to(unsigned place) {
    const std::vector<int> cpus = usable_cpus();
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpus[place % cpus.size()]), &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

std::vector<int> usable_cpus() {
    cpu_set_t set;
    std::vector<int> cpus;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
        }
    }
    if (cpus.empty()) cpus.push_back(0);
    return cpus;
}

/// Shared with the members.
struct Team::Board {
    struct alignas(128) Place {
        sem_t go;
        Tally tally;
        double cpu_ns;
        std::int64_t begin_ns;
        std::int64_t end_ns;
    };
    struct Words {
        alignas(128) Word arrived;
        alignas(128) Word begin_at;
        sem_t done;
        Place places[kProcessesMax];
    };
    shm::test::Shared<Words> words;
};

struct Team::Member {
    shm::test::Child child;
};

namespace {

/// Waits for the others without giving up the CPU: they are about to come, or the stint does not count.
Nanos begin_together(Word& arrived, Word& begin_at, unsigned processes) {
    const Nanos patience = shm::now() + std::chrono::milliseconds(50);
    if (arrived.fetch_add(1, kRelease) + 1 == processes) {  // ORDER(team): only counts
        const Nanos begin = shm::now() + kLeadIn;
        begin_at.store(static_cast<std::uint64_t>(begin.count()), kRelease);  // ORDER(team)
    }
    std::uint64_t at = 0;
    while (at == 0 && shm::now() < patience) at = begin_at.load(kAcquire);  // ORDER(team)
    const Nanos begin = at == 0 ? patience : Nanos(static_cast<std::int64_t>(at));
    while (shm::now() < begin) {
    }
    return begin;
}

}  // namespace

Team::Team(std::string name, unsigned processes, const std::function<Stint(unsigned place)>& prepare)
    : Subject(std::move(name)), board_(std::make_unique<Board>()) {
    Board::Words& words = *board_->words;
    ::sem_init(&words.done, 1, 0);
    for (unsigned place = 0; place < processes; ++place) ::sem_init(&words.places[place].go, 1, 0);
    for (unsigned place = 0; place < processes; ++place) {
        const auto work = [&, place, processes] {
            pin_to(place);
            const Stint stint = prepare(place);
            Board::Place& mine = words.places[place];
            for (;;) {
                ::sem_post(&words.done);
                while (::sem_wait(&mine.go) != 0) {
                }
                const Nanos begin = begin_together(words.arrived, words.begin_at, processes);
                const double cpu = thread_cpu_ns();
                mine.begin_ns = shm::now().count();
                mine.tally = stint(begin + kStint);
                mine.end_ns = shm::now().count();
                mine.cpu_ns = thread_cpu_ns() - cpu;
            }
            return 0;
        };
        members_.push_back(std::unique_ptr<Member>(new Member{shm::test::Child(work)}));
    }
    await_all("prepare");
}

Team::~Team() = default;

void Team::await_all(const char* what) {
    timespec until;
    ::clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += kPatienceSeconds;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        while (::sem_timedwait(&board_->words->done, &until) != 0) {
            if (errno == EINTR) continue;
            throw std::runtime_error(fmt::format("{}: a process did not {}", name(), what));
        }
    }
}

Round Team::round() {
    Board::Words& words = *board_->words;
    words.arrived.store(0, kRelease);   // ORDER(team)
    words.begin_at.store(0, kRelease);  // ORDER(team)
    for (std::size_t i = 0; i < members_.size(); ++i) ::sem_post(&words.places[i].go);
    await_all("finish its stint");

    Tally tally;
    std::int64_t first_begin = words.places[0].begin_ns;
    std::int64_t last_begin = first_begin;
    std::int64_t first_end = words.places[0].end_ns;
    std::int64_t last_end = first_end;
    bool disturbed = false;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        const Board::Place& place = words.places[i];
        tally.decisions += place.tally.decisions;
        tally.admitted += place.tally.admitted;
        tally.retries += place.tally.retries;
        first_begin = std::min(first_begin, place.begin_ns);
        last_begin = std::max(last_begin, place.begin_ns);
        first_end = std::min(first_end, place.end_ns);
        last_end = std::max(last_end, place.end_ns);
        disturbed |= place.cpu_ns < kOnCpuMin * static_cast<double>(place.end_ns - place.begin_ns);
    }
    const auto whole = static_cast<double>(last_end - first_begin);
    const auto shared = static_cast<double>(std::max<std::int64_t>(0, first_end - last_begin));
    disturbed |= shared < kOnCpuMin * whole;
    if (!disturbed) {
        total_.decisions += tally.decisions;
        total_.admitted += tally.admitted;
        total_.retries += tally.retries;
        shared_ns_ += shared;
        stints_ns_ += whole;
    }
    return {tally.decisions, whole, disturbed};
}

std::string Team::note() const {
    if (total_.decisions == 0) return "never undisturbed";
    const auto decisions = static_cast<double>(total_.decisions);
    const std::string who =
        members_.size() == 1
            ? std::string("1 process")
            : fmt::format(
                  "{} processes, each on a CPU of its own, at work together for {:.1f} % of the time",
                  members_.size(), 100 * shared_ns_ / stints_ns_);
    return fmt::format("{}; {:.1f} % admitted; {:.2f} compare-and-swaps lost per 1,000 decisions", who,
                       100 * static_cast<double>(total_.admitted) / decisions,
                       1000 * static_cast<double>(total_.retries) / decisions);
}

}  // namespace weir::bench
