// Threads over one mapping: what ThreadSanitizer can see (scripts/test.sh --preset tsan). It knows addresses,
// so it is blind to two mappings of one segment, and to other processes; for those there are tests/model and
// tests/multiprocess.
//
// Every test goes on until threads have got into each other's way: without a lost compare-and-swap it has
// shown nothing, and fails.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "shm/segment.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

constexpr int kThreads = 4;
constexpr Nanos kWindow = std::chrono::seconds(60);
constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(counter): sums and a clock, joined at the end

/// Runs `work(thread)` in kThreads threads at once, all together and again, until `enough` or 60 s.
void in_threads(const std::function<void(int)>& work, const std::function<bool()>& enough) {
    const Nanos until = now() + std::chrono::seconds(60);
    do {
        std::atomic<int> ready{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] {
                ready.fetch_add(1, kRelaxed);  // ORDER(counter)
                while (ready.load(kRelaxed) != kThreads) std::this_thread::yield();  // ORDER(counter)
                work(i);
            });
        }
        for (std::thread& thread : threads) thread.join();
    } while (!enough() && now() < until);
}

struct Admitted {
    Nanos time;
    Units units;
};

Units worst_window(std::vector<Admitted> all) {
    std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return x.time < y.time; });
    Units worst = 0;
    Units inside = 0;
    std::size_t first = 0;
    for (const Admitted& last : all) {
        inside += last.units;
        while (last.time - all[first].time >= kWindow) inside -= all[first++].units;
        worst = std::max(worst, inside);
    }
    return worst;
}

}  // namespace

TEST_CASE("threads admit, settle, cancel and look, with clocks that lag, and never exceed either limit") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    constexpr Units kLimitA = 300;
    constexpr Units kLimitB = 120;
    const Limiter a = segment.limiter({"key", "a", Unit::tokens, kWindow}, kLimitA);
    const Limiter b = segment.limiter({"key", "b", Unit::requests, kWindow}, kLimitB);
    std::vector<Participant> participants;
    for (int i = 0; i < kThreads; ++i) participants.push_back(segment.join("thread"));

    std::vector<Admitted> on_a[kThreads];
    std::vector<Admitted> on_b[kThreads];
    const Nanos start = now();
    std::atomic<std::int64_t> clock_ns{0};
    const auto work = [&](int thread) {
        Participant& me = participants[static_cast<std::size_t>(thread)];
        std::mt19937_64 random(static_cast<std::uint64_t>(thread) + 1);
        for (int i = 0; i < 5'000; ++i) {
            // A window passes every few hundred decisions; a clock may lag by up to two ticks.
            const auto lag = static_cast<std::int64_t>(random() % 2'000'000'000);
            const Nanos t = start + Nanos(clock_ns.fetch_add(70'000'000, kRelaxed) - lag);  // ORDER(counter)
            const Units units = 1 + random() % 4;
            const Charge charges[] = {{a, units}, {b, 1}};
            Admission admission = me.admit({charges, {}}, t);
            if (!admission.admitted()) {
                me.earliest({charges, {}}, t);
                continue;
            }
            const std::uint64_t fate = random() % 4;
            if (fate == 0) {
                admission.ticket.cancel(t);
                continue;
            }
            if (fate == 1) admission.ticket.settle(0, 1, t);
            on_a[thread].push_back({admission.ticket.admitted_at(), fate == 1 ? 1 : units});
            on_b[thread].push_back({admission.ticket.admitted_at(), 1});
            me.usage(a, t);
        }
    };
    const auto contention = [&] {
        std::uint64_t sum = 0;
        for (const Participant& me : participants) sum += me.contention();
        return sum;
    };
    in_threads(work, [&] { return contention() > 0; });

    std::vector<Admitted> all_a;
    std::vector<Admitted> all_b;
    for (int i = 0; i < kThreads; ++i) {
        all_a.insert(all_a.end(), on_a[i].begin(), on_a[i].end());
        all_b.insert(all_b.end(), on_b[i].begin(), on_b[i].end());
    }
    WARN(all_b.size() << " admissions, " << contention() << " lost CASes");
    CHECK(contention() > 0);
    CHECK(worst_window(all_a) <= kLimitA);
    CHECK(worst_window(all_b) <= kLimitB);
    CHECK(worst_window(all_b) > kLimitB / 2);  // the limit was felt
    const Nanos later = start + Nanos(clock_ns.load(kRelaxed)) + 2 * kWindow;  // ORDER(counter)
    CHECK(participants[0].usage(a, later).used == 0);
    CHECK(participants[0].usage(b, later).used == 0);
}

TEST_CASE("threads hold and drop slots of one gauge, and never hold more than there are") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    constexpr Units kSlots = 2;
    const Gauge gauge = segment.gauge("key", "g", kSlots);
    std::vector<Participant> participants;
    for (int i = 0; i < kThreads; ++i) participants.push_back(segment.join("thread"));
    std::atomic<std::uint64_t> held{0};
    std::atomic<std::uint64_t> most{0};
    const auto work = [&](int thread) {
        Participant& me = participants[static_cast<std::size_t>(thread)];
        for (int i = 0; i < 5'000; ++i) {
            Admission admission = me.admit({{}, {&gauge, 1}}, now());
            if (!admission.admitted()) continue;
            const std::uint64_t together = held.fetch_add(1, kRelaxed) + 1;         // ORDER(counter)
            if (together > most.load(kRelaxed)) most.store(together, kRelaxed);     // ORDER(counter)
            if (i % 16 == 0) std::this_thread::yield();
            held.fetch_sub(1, kRelaxed);  // ORDER(counter)
        }
    };
    const auto contention = [&] {
        std::uint64_t sum = 0;
        for (const Participant& me : participants) sum += me.contention();
        return sum;
    };
    in_threads(work, [&] { return contention() > 0; });
    WARN(contention() << " lost CASes, at most " << most.load(kRelaxed) << " held");  // ORDER(counter)
    CHECK(contention() > 0);
    CHECK(most.load(kRelaxed) <= kSlots);  // ORDER(counter)
    CHECK(participants[0].in_flight(gauge) == 0);
}

TEST_CASE("threads that make the same limiters at once get the same ones") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    constexpr int kNames = 60;
    std::vector<Limiter> made[kThreads];
    const auto work = [&](int thread) {
        made[thread].clear();
        for (int i = 0; i < kNames; ++i) {
            const std::string name = "limiter " + std::to_string(i);
            made[thread].push_back(segment.limiter({"key", name, Unit::requests, kWindow}, 5));
            segment.counter(name);
        }
    };
    in_threads(work, [] { return true; });
    for (int thread = 1; thread < kThreads; ++thread) {
        for (std::size_t i = 0; i < kNames; ++i) {
            CHECK(made[thread][i].record == made[0][i].record);
            CHECK(made[thread][i].generation == made[0][i].generation);
        }
    }
    CHECK(segment.limiters(now()).size() == kNames);
}

TEST_CASE("of threads that are told how much is left, one charges the difference") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    const Limiter a = segment.limiter({"key", "a", Unit::requests, kWindow}, 100'000'000);
    std::vector<Participant> participants;
    for (int i = 0; i < kThreads; ++i) participants.push_back(segment.join("thread"));
    const Nanos t = now();
    std::atomic<Units> charged{0};
    Units left = 100'000'000;
    const auto work = [&](int thread) {
        Units sum = 0;
        for (Units i = 1; i <= 1000; ++i) {
            sum += participants[static_cast<std::size_t>(thread)].leave_only(a, left - i, t);
        }
        charged.fetch_add(sum, kRelaxed);  // ORDER(counter)
    };
    const auto contention = [&] {
        std::uint64_t sum = 0;
        for (const Participant& me : participants) sum += me.contention();
        return sum;
    };
    in_threads(work, [&] {
        left -= 1000;
        return contention() > 0;
    });
    CHECK(contention() > 0);
    CHECK(charged.load(kRelaxed) == 100'000'000 - left);  // ORDER(counter)
    CHECK(participants[0].usage(a, t).remaining == left);
}
