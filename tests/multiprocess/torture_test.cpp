// Real processes that are killed all the time. Afterwards: decisions sorted by their time never
// exceed a limit in any window, whoever lives is served, and all capacity is back.
//
// WEIR_TORTURE_SECONDS makes it longer (default 5); the seed is printed with a failure.
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
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::Child;
using weir::shm::test::ScratchName;
using weir::shm::test::Shared;

namespace {

constexpr int kWorkers = 4;
constexpr Nanos kWindow = std::chrono::milliseconds(300);
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

struct Board {
    Word stop;
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

/// Admits, settles, cancels and drops until told to stop.
int work(const std::string& name, Board& board, int place, std::uint64_t seed) {
    SegmentOptions options;
    options.name = name;
    Segment segment = Segment::open(options);
    Participant me = segment.join("worker " + std::to_string(place));
    const Limiter a = segment.limiter({"key", "a", Unit::requests, kWindow}, kLimitA);
    const Limiter b = segment.limiter({"key", "b", Unit::requests, kWindow}, kLimitB);
    const Gauge gauge = segment.gauge("key", "g", kFlights);
    Log& log = board.logs[place];
    std::mt19937_64 random(seed);
    const std::uint64_t before = log.contention.load(kRelaxed);  // ORDER(board): one writer
    while (board.stop.load(kRelaxed) == 0) {                     // ORDER(board): a flag on its own
        const Nanos t = now();
        const Units units = 1 + random() % 3;
        const Charge charges[] = {{a, units}, {b, 1}};
        Admission admission = me.admit({charges, {&gauge, 1}}, t);
        log.decisions.fetch_add(1, kRelaxed);                      // ORDER(board)
        log.contention.store(before + me.contention(), kRelaxed);  // ORDER(board)
        me.reap(t);
        if (!admission.admitted()) continue;
        const std::uint64_t fate = random() % 8;
        if (fate == 0) {  // never sent: given back, and not logged
            admission.ticket.cancel(now());
            admission.ticket.close();
            continue;
        }
        if (fate == 1 && units > 1) {  // cost less than reserved
            admission.ticket.settle(0, 1, now());
            store_admission(log, admission.ticket.admitted_at(), 1);
            continue;
        }
        store_admission(log, admission.ticket.admitted_at(), units);
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
    const long seconds = text == nullptr ? 5 : std::strtol(text, nullptr, 10);
    return std::chrono::seconds(std::clamp(seconds, 1L, 86'400L));
}

void pause(Nanos duration) {
    const timespec time{duration / std::chrono::seconds(1),
                        (duration % std::chrono::seconds(1)).count()};
    ::nanosleep(&time, nullptr);
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
    const std::uint64_t seed = static_cast<std::uint64_t>(now().count());
    INFO("seed " << seed);
    std::mt19937_64 random(seed);

    std::vector<std::unique_ptr<Child>> workers;
    const auto start = [&](int place) {
        const std::uint64_t its_seed = random();
        return std::make_unique<Child>(
            [&, place, its_seed] { return work(scratch.name, *board, place, its_seed); });
    };
    for (int place = 0; place < kWorkers; ++place) workers.push_back(start(place));

    const Nanos until = now() + torture_time();
    int kills = 0;
    while (now() < until) {
        pause(std::chrono::microseconds(random() % 20'000));
        const auto place = random() % kWorkers;
        workers[place]->kill();
        REQUIRE(workers[place]->wait() == 256 + SIGKILL);
        workers[place] = start(static_cast<int>(place));
        ++kills;
    }
    // Without kills the survivors must go on being served.
    std::uint64_t before[kWorkers];
    for (int i = 0; i < kWorkers; ++i)
        before[i] = board->logs[i].decisions.load(kRelaxed);  // ORDER(board)
    pause(2 * kWindow);
    for (int i = 0; i < kWorkers; ++i) {
        CHECK(board->logs[i].decisions.load(kRelaxed) > before[i]);  // ORDER(board)
    }
    board->stop.store(1, kRelaxed);  // ORDER(board)
    for (auto& worker : workers) CHECK(worker->wait() == 0);

    const std::vector<Admitted> all = admitted_in_order(*board);
    const Worst worst = worst_window(all);
    std::uint64_t contention = 0;
    for (const Log& log : board->logs) contention += log.contention.load(kRelaxed);  // ORDER(board)
    WARN(kills << " kills, " << all.size() << " admissions, worst windows " << worst.a << "/"
               << kLimitA << " and " << worst.b << "/" << kLimitB << ", " << contention
               << " lost CASes");
    CHECK(worst.a <= kLimitA);
    CHECK(worst.b <= kLimitB);
    CHECK(kills > 100 * torture_time() / std::chrono::seconds(5) / 2);
    CHECK(contention > 0);
    CHECK(all.size() > 2 * kLimitB);

    // All capacity is back: the gauge at once, the windows within one window and a tick.
    pause(kWindow + kWindow / 62 + std::chrono::milliseconds(1));
    Participant judge = segment.join("judge");
    const Limiter a = segment.limiter({"key", "a", Unit::requests, kWindow}, kLimitA);
    const Limiter b = segment.limiter({"key", "b", Unit::requests, kWindow}, kLimitB);
    judge.reap(now());
    CHECK(judge.in_flight(segment.gauge("key", "g", kFlights)) == 0);
    CHECK(judge.usage(a, now()).used == 0);
    CHECK(judge.usage(b, now()).used == 0);
    const Charge whole{a, kLimitA};
    CHECK(judge.admit({{&whole, 1}, {}}, now()).admitted());
    for (const auto& counter : segment.own_counters()) {
        if (counter.name == "corrupt_words") CHECK(counter.value == 0);
    }
}
