// Threads over one mapping whose places are used again and again: records that come to serve other names, and
// participants' slots. As limiter_threads_test.cpp: without an eviction under somebody's hands it has shown
// nothing, and fails.
#include <dlfcn.h>
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdarg>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shm/file_lock.hpp"
#include "shm/segment.hpp"
#include "shm/segment_impl.hpp"
#include "tests/support/wait.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

/// In place of the system's: giving a participant's byte back takes a while, as it may on a busy machine, so
/// that what another thread does meanwhile matters.
extern "C" int fcntl(int fd, int command, ...) {
    using Real = int (*)(int, int, ...);
    static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "fcntl"));
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    if (command == F_OFD_SETLK) {
        const auto* range = static_cast<const struct flock*>(argument);
        if (range->l_type == F_UNLCK && range->l_start >= kLockParticipants) {
            weir::test::pause_for(std::chrono::microseconds(50));
        }
    }
    return real(fd, command, argument);
}

namespace {

constexpr int kThreads = 4;
constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(counter): sums, and an end; joined afterwards

/// Calls `work(thread)` in kThreads threads again and again until `enough`, or for a minute.
template <class Work, class Enough>
void keep_at(const Work& work, const Enough& enough) {
    std::atomic<bool> ended{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
            while (!ended.load(kRelaxed)) work(i);  // ORDER(counter)
        });
    }
    weir::test::wait_until(enough, std::chrono::seconds(60));
    ended.store(true, kRelaxed);  // ORDER(counter)
    for (std::thread& thread : threads) thread.join();
}

std::uint64_t counted(const Segment& segment, std::string_view name) {
    for (const auto& counter : segment.own_counters()) {
        if (counter.name == name) return counter.value;
    }
    FAIL("no such counter: " << name);
    return 0;
}

/// A limiter's name, and all that goes with it: neighbours differ in everything.
struct Subject {
    std::string name;
    Nanos window;
    Units limit;

    explicit Subject(std::size_t number)
        : name("n" + std::to_string(number)),
          window(std::chrono::milliseconds(10 << number % 3)),
          limit(number % 2 == 0 ? 2 : 60) {}

    LimiterName limiter() const { return {"key", name, Unit::requests, window}; }
};

/// One life of one record.
using LifeOf = std::pair<const WindowRecord*, std::uint64_t>;

struct Admissions {
    Nanos window{};
    Units limit = 0;
    std::vector<Nanos> times;

    Units most() {
        std::sort(times.begin(), times.end());
        std::size_t first = 0;
        std::size_t most = 0;
        for (std::size_t last = 0; last < times.size(); ++last) {
            while (times[last] - times[first] >= window) ++first;
            most = std::max(most, last - first + 1);
        }
        return most;
    }
};

/// One thread: makes limiters, keeps handles until they are long out of date, and asks by all of them.
class Churn {
 public:
    Churn(Segment& segment, unsigned seed) : segment_(segment), me_(segment.join("churn")), random_(seed) {}

    void step() {
        const Subject subject(random_() % kNames);
        try {
            const Limiter made = segment_.limiter(subject.limiter(), subject.limit);
            handles_[random_() % handles_.size()] = {made, subject.window, subject.limit};
        } catch (const DirectoryFull&) {
            // Nothing is idle just now: a declared outcome.
        }
        for (int i = 0; i < 20; ++i) ask(handles_[random_() % handles_.size()]);
    }

    std::map<LifeOf, Admissions> admitted;

 private:
    struct Handle {
        Limiter limiter;
        Nanos window{};
        Units limit = 0;
    };
    static constexpr std::size_t kNames = 4'000;

    void ask(const Handle& handle) {
        if (!handle.limiter) return;
        // The limit stays what it is, by a value in between that is less.
        if (random_() % 8 == 0) segment_.set_limit(handle.limiter, handle.limit - 1);
        segment_.set_limit(handle.limiter, handle.limit);
        const Charge charge{handle.limiter, 1};
        Admission admission = me_.admit({{&charge, 1}, {}}, now());
        if (!admission.admitted()) return;
        if (random_() % 8 == 0) return admission.ticket.cancel(now());
        Admissions& life = admitted[{handle.limiter.record, handle.limiter.generation}];
        life.window = handle.window;
        life.limit = handle.limit;
        life.times.push_back(admission.ticket.admitted_at());
    }

    Segment& segment_;
    Participant me_;
    std::mt19937_64 random_;
    std::vector<Handle> handles_ = std::vector<Handle>(64);
};

}  // namespace

TEST_CASE("records change names under the hands of threads, and none is admitted by another's limit") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options(kSegmentBytesMin));
    std::vector<Churn> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(segment, i + 1);
    keep_at([&](int thread) { threads[static_cast<std::size_t>(thread)].step(); },
            [&] {
                return counted(segment, "evictions") > 10'000 && counted(segment, "evicted_handles") > 10'000;
            });

    std::map<LifeOf, Admissions> all;
    for (Churn& thread : threads) {
        for (auto& [life, admissions] : thread.admitted) {
            Admissions& sum = all[life];
            sum.window = admissions.window;
            sum.limit = admissions.limit;
            sum.times.insert(sum.times.end(), admissions.times.begin(), admissions.times.end());
        }
    }
    std::size_t full = 0;
    std::size_t over = 0;
    for (auto& [life, admissions] : all) {
        const Units most = admissions.most();
        if (most == admissions.limit) ++full;
        if (most > admissions.limit) ++over;
    }
    WARN(all.size() << " lives, " << full << " of them full; " << counted(segment, "evictions")
                    << " evictions, " << counted(segment, "evicted_handles") << " handles out of date");
    CHECK(counted(segment, "evictions") > 10'000);
    CHECK(counted(segment, "evicted_handles") > 10'000);
    CHECK(counted(segment, "corrupt_words") == 0);
    CHECK(full > 0);  // limits were felt
    CHECK(over == 0);
}

TEST_CASE("threads that take and leave slots of one opening are never taken for dead") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options(kSegmentBytesMin));
    Segment other = Segment::open(scratch.options());
    const std::uint32_t slots = SegmentAccess::impl(other)->geometry().participants;
    const Gauge gauge = segment.gauge("key", "g", kThreads);
    std::atomic<std::uint64_t> joined{0};
    std::atomic<std::uint64_t> lost{0};
    const auto work = [&](int thread) {
        if (thread == 0) {
            for (std::uint32_t slot = 0; slot < slots; ++slot) SegmentAccess::impl(other)->reap_slot(slot);
            return;
        }
        Participant me = segment.join("here");
        Admission held = me.admit({{}, {&gauge, 1}}, now());
        weir::test::pause_for(std::chrono::microseconds(200));
        joined.fetch_add(1, kRelaxed);                                                  // ORDER(counter)
        if (!held.admitted() || me.in_flight(gauge) == 0) lost.fetch_add(1, kRelaxed);  // ORDER(counter)
    };
    keep_at(work, [&] { return joined.load(kRelaxed) > 2'000; });  // ORDER(counter)
    CHECK(joined.load(kRelaxed) > 2'000);                           // ORDER(counter)
    CHECK(lost.load(kRelaxed) == 0);                                 // ORDER(counter)
    CHECK(counted(segment, "reaped") == 0);
    CHECK(segment.join("last").in_flight(gauge) == 0);
}
