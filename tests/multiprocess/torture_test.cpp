// Real processes that are killed all the time, from outside at random instants and by themselves at
// named points, and whose clocks lag. Afterwards: decisions sorted by their time never exceed a limit in
// any window, whoever lives is served, and all capacity is back.
//
// WEIR_LONG=1 makes it five minutes and thousands of deaths, WEIR_TORTURE_SECONDS any other length
// (default 5); the seed is printed with a failure. Deaths inside of a decision: step_kill_test.cpp.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "crew.hpp"
#include "shm/clock.hpp"
#include "shm/segment.hpp"
#include "shm/word.hpp"
#include "tests/support/long_form.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::Child;
using weir::shm::test::ScratchName;
using weir::shm::test::Shared;

namespace {

constexpr int kWorkers = 4;
constexpr Nanos kWindow = std::chrono::milliseconds(300);
constexpr Nanos kTick = kWindow / 62 + Nanos(1);
constexpr Units kLimitA = 900;  // units; either scope refuses at times
constexpr Units kLimitB = 500;  // shared by fewer, so that the second scope refuses too
constexpr Units kFlights = 6;
constexpr std::size_t kLogMax = 600'000;  // per worker slot; a full log fails the test

/// One admission as its decider saw it: written whole before it counts.
struct LogEntry {
    Word time_ns;  // the ticket's time
    Word units;    // on A; B is charged 1
};

/// One worker's log survives its death; the next worker in the place goes on behind it.
struct Log {
    Word count;
    Word decisions;
    Word contention;
    LogEntry entries[kLogMax];
};

/// Where a worker may kill itself.
enum Point : std::uint64_t { opened, joined, limits_made, admitted, logged, settled, cancelled, point_count };
constexpr const char* kPointNames[] = {"opened", "joined",  "limits made", "admitted",
                                       "logged", "settled", "cancelled"};

struct Board {
    Word stop;
    Word spare;  // nobody kills itself any more
    Word deaths[point_count];
    Log logs[kWorkers];
};

constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(board): values on their own
constexpr auto kRelease = std::memory_order_release;  // ORDER(board): the entry before the count

void store_admission(Log& log, Nanos time, Units units) {
    const std::uint64_t at = log.count.load(kRelaxed);  // ORDER(board): one writer
    if (at >= kLogMax) ::_exit(3);
    log.entries[at].time_ns.store(static_cast<std::uint64_t>(time.count()),
                                  kRelaxed);       // ORDER(board)
    log.entries[at].units.store(units, kRelaxed);  // ORDER(board)
    log.count.store(at + 1, kRelease);             // ORDER(board)
}

/// Where the worker dies, once it has come by there a few times; long-lived ones never do.
class Fate {
 public:
    explicit Fate(std::mt19937_64& random)
        : point_(random() % (2 * point_count)), passes_(point_ <= limits_made ? 0 : random() % 30) {}

    void pass(Board& board, Point point) {
        if (point != point_ || passes_-- != 0) return;
        if (board.spare.load(kRelaxed) != 0) return;  // ORDER(board)
        board.deaths[point].fetch_add(1, kRelaxed);  // ORDER(board)
        ::raise(SIGKILL);
    }

 private:
    std::uint64_t point_;
    std::uint64_t passes_;
};

/// Admits, settles, cancels and drops until told to stop.
int work(const std::string& name, Board& board, int place, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Fate fate_of_all(random);
    SegmentOptions options;
    options.name = name;
    Segment segment = Segment::open(options);
    fate_of_all.pass(board, opened);
    Participant me = segment.join("worker " + std::to_string(place));
    fate_of_all.pass(board, joined);
    const Limiter a = segment.limiter({"key", "a", Unit::requests, kWindow}, kLimitA);
    const Limiter b = segment.limiter({"key", "b", Unit::requests, kWindow}, kLimitB);
    const Gauge gauge = segment.gauge("key", "g", kFlights);
    fate_of_all.pass(board, limits_made);
    Log& log = board.logs[place];
    const std::uint64_t before = log.contention.load(kRelaxed);  // ORDER(board): one writer
    while (board.stop.load(kRelaxed) == 0) {                     // ORDER(board): a flag on its own
        // One clock in four lags, by up to three ticks.
        const Nanos lag = random() % 4 == 0 ? Nanos(random() % (3 * kTick.count())) : Nanos(0);
        const Nanos t = now() - lag;
        const Units units = 1 + random() % 3;
        const Charge charges[] = {{a, units}, {b, 1}};
        Admission admission = me.admit({charges, {&gauge, 1}}, t);
        log.decisions.fetch_add(1, kRelaxed);                      // ORDER(board)
        log.contention.store(before + me.contention(), kRelaxed);  // ORDER(board)
        me.reap(t);
        if (!admission.admitted()) continue;
        fate_of_all.pass(board, admitted);
        const std::uint64_t fate = random() % 8;
        if (fate == 0) {  // never sent: given back, and not logged
            admission.ticket.cancel(now());
            fate_of_all.pass(board, cancelled);
            admission.ticket.close();
            continue;
        }
        if (fate == 1 && units > 1) {  // cost less than reserved
            admission.ticket.settle(0, 1, now());
            fate_of_all.pass(board, settled);
            store_admission(log, admission.ticket.admitted_at(), 1);
            continue;
        }
        store_admission(log, admission.ticket.admitted_at(), units);
        fate_of_all.pass(board, logged);
    }
    return 0;
}

struct Admitted {
    std::uint64_t time_ns;
    std::uint64_t a;
};

std::vector<Admitted> admitted_in_order(const Board& board) {
    std::vector<Admitted> all;
    for (const Log& log : board.logs) {
        const std::uint64_t count = log.count.load(std::memory_order_acquire);  // ORDER(board)
        for (std::uint64_t i = 0; i < count; ++i) {
            all.push_back({log.entries[i].time_ns.load(kRelaxed),  // ORDER(board)
                           log.entries[i].units.load(kRelaxed)});  // ORDER(board)
        }
    }
    std::sort(all.begin(), all.end(),
              [](const Admitted& x, const Admitted& y) { return x.time_ns < y.time_ns; });
    return all;
}

struct Worst {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
};

Worst worst_window(const std::vector<Admitted>& all) {
    Worst worst;
    const auto window = static_cast<std::uint64_t>(kWindow.count());
    std::uint64_t a = 0;
    std::size_t first = 0;
    for (std::size_t last = 0; last < all.size(); ++last) {
        a += all[last].a;
        while (all[last].time_ns - all[first].time_ns >= window) a -= all[first++].a;
        worst.a = std::max(worst.a, a);
        worst.b = std::max<std::uint64_t>(worst.b, last - first + 1);
    }
    return worst;
}

Nanos torture_time() {
    const char* text = std::getenv("WEIR_TORTURE_SECONDS");
    const long usual = weir::test::long_form() ? 300 : 5;
    const long seconds = text == nullptr ? usual : std::strtol(text, nullptr, 10);
    return std::chrono::seconds(std::clamp(seconds, 1L, 86'400L));
}

void pause(Nanos duration) {
    const timespec time{duration / std::chrono::seconds(1),
                        (duration % std::chrono::seconds(1)).count()};
    ::nanosleep(&time, nullptr);
}

/// The workers of one run, each in its place.
class Crew {
 public:
    Crew(const std::string& name, Board& board, std::uint64_t seed)
        : name_(name), board_(board), random_(seed) {
        for (std::size_t place = 0; place < kWorkers; ++place) workers_.push_back(start(place));
    }

    /// Kills one after the other, and replaces those that are dead, for the time of the test. On a busy
    /// machine it takes longer until enough has happened.
    int storm() {
        const Nanos until = now() + torture_time();
        const Nanos until_at_last = until + std::chrono::seconds(60);
        int kills = 0;
        while (now() < until || (now() < until_at_last && (kills < 100 || lost_cases() == 0))) {
            pause(std::chrono::microseconds(random_() % 20'000));
            Child& victim = *workers_[random_() % kWorkers];
            victim.kill();
            ++kills;
            CHECK(victim.wait() == 256 + SIGKILL);
            replace_dead();
        }
        board_.spare.store(1, kRelaxed);  // ORDER(board)
        return kills;
    }

    /// Without further deaths every worker decides again, whatever the dead have left.
    bool all_served() {
        std::uint64_t before[kWorkers];
        for (int i = 0; i < kWorkers; ++i) before[i] = decisions(i);
        const Nanos until = now() + std::chrono::seconds(60);
        for (int i = 0; i < kWorkers; ++i) {
            while (decisions(i) <= before[i]) {
                if (now() > until) return false;
                pause(std::chrono::milliseconds(1));
                replace_dead();  // it may have been about to kill itself
            }
        }
        return true;
    }

    void stop() {
        board_.stop.store(1, kRelaxed);  // ORDER(board)
        for (auto& worker : workers_) CHECK(worker->wait() == 0);
    }

    std::uint64_t lost_cases() const {
        std::uint64_t sum = 0;
        for (const Log& log : board_.logs) sum += log.contention.load(kRelaxed);  // ORDER(board)
        return sum;
    }

 private:
    std::unique_ptr<Child> start(std::size_t place) {
        const std::uint64_t seed = random_();
        return std::make_unique<Child>(
            [this, place, seed] { return work(name_, board_, static_cast<int>(place), seed); });
    }
    void replace_dead() {
        for (std::size_t place = 0; place < kWorkers; ++place) {
            int code = 256 + SIGKILL;
            if (!workers_[place]->has_ended(code) && workers_[place]->pid() > 0) continue;
            CHECK(code == 256 + SIGKILL);
            workers_[place] = start(place);
        }
    }
    std::uint64_t decisions(int place) const {
        return board_.logs[place].decisions.load(kRelaxed);  // ORDER(board)
    }

    const std::string& name_;
    Board& board_;
    std::mt19937_64 random_;
    std::vector<std::unique_ptr<Child>> workers_;
};

/// How many have killed themselves, and where.
std::uint64_t own_deaths(const Board& board, std::string& where) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < point_count; ++i) {
        const std::uint64_t deaths = board.deaths[i].load(kRelaxed);  // ORDER(board)
        sum += deaths;
        where += (i == 0 ? "" : ", ") + std::string(kPointNames[i]) + " " + std::to_string(deaths);
    }
    return sum;
}

/// All capacity is back: the gauge at once, the windows within one window and a tick.
void check_all_is_back(Segment& segment) {
    pause(kWindow + kTick + std::chrono::milliseconds(1));
    Participant judge = segment.join("judge");
    const Limiter a = segment.limiter({"key", "a", Unit::requests, kWindow}, kLimitA);
    const Limiter b = segment.limiter({"key", "b", Unit::requests, kWindow}, kLimitB);
    judge.reap(now());
    CHECK(judge.in_flight(segment.gauge("key", "g", kFlights)) == 0);
    CHECK(judge.usage(a, now()).used == 0);
    CHECK(judge.usage(b, now()).used == 0);
    const Charge whole[] = {{a, kLimitA}, {b, kLimitB}};
    CHECK(judge.admit({whole, {}}, now()).admitted());
    for (const auto& counter : segment.own_counters()) {
        if (counter.name == "corrupt_words") CHECK(counter.value == 0);
    }
}

}  // namespace

TEST_CASE("the judge of windows sees one unit too many") {
    const std::uint64_t window = static_cast<std::uint64_t>(kWindow.count());
    CHECK(worst_window({{1, 5}, {window, 5}, {window + 1, 5}}).a == 10);
    CHECK(worst_window({{1, 5}, {window, 5}, {window, 5}}).a == 15);
    CHECK(worst_window({{1, 5}, {1 + window, 5}}).b == 1);
}

TEST_CASE("killed at random all the time, the processes never exceed a limit and lose nothing") {
    const ScratchName scratch;
    const Shared<Board> board;
    Segment segment =
        Segment::open(SegmentOptions{scratch.name, 16u << 20, "", std::chrono::seconds(2)});
    const auto seed = static_cast<std::uint64_t>(now().count());
    INFO("seed " << seed);
    Crew crew(scratch.name, *board, seed);
    const int kills = crew.storm();
    CHECK(crew.all_served());
    crew.stop();

    const std::vector<Admitted> all = admitted_in_order(*board);
    const Worst worst = worst_window(all);
    std::string where;
    const std::uint64_t by_themselves = own_deaths(*board, where);
    WARN(kills << " kills at random, " << by_themselves << " deaths at named points (" << where << "), "
               << all.size() << " admissions, worst windows " << worst.a << "/" << kLimitA << " and "
               << worst.b << "/" << kLimitB << ", " << crew.lost_cases() << " lost CASes");
    CHECK(worst.a <= kLimitA);
    CHECK(worst.b <= kLimitB);
    CHECK(kills >= 100);
    CHECK(by_themselves >= 10);
    CHECK(crew.lost_cases() > 0);
    CHECK(all.size() > 2 * kLimitB);
    check_all_is_back(segment);
}
