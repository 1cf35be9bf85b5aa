// What else one could put into shared memory: the same window behind a lock, and a bare GCRA.
//
// Both live in the benchmark's segment, in the words of a limiter that serves as nothing else.
//
// Thread and process safety: all of it, as far as each goes: the mutex is robust, so that a dead holder's
// is taken over, but a holder that is stopped stops everybody; GCRA admits up to twice its limit in a window.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "shm/segment.hpp"
#include "shm/word.hpp"
#include "tests/bench/measure.hpp"

namespace weir::bench {

/// A sliding window of 62 ticks in plain counters, behind a robust mutex that processes share.
class MutexLimiter {
 public:
    MutexLimiter(std::uint64_t limit, shm::Nanos window);

    /// Admits `units` at `now`, or refuses.
    bool admit(std::uint64_t units, shm::Nanos now) noexcept;

 private:
    static constexpr std::uint64_t kTicks = 62;

    bool lock() noexcept;
    void move_to(std::uint64_t tick) noexcept;

    pthread_mutex_t mutex_;
    std::uint64_t tick_ns_;
    std::uint64_t limit_;
    std::uint64_t tick_ = 0;   // of the newest bucket
    std::uint64_t total_ = 0;  // over all buckets
    std::uint64_t buckets_[kTicks + 1] = {};
};

/// The generic cell rate algorithm: one word, the theoretical arrival time.
class GcraLimiter {
 public:
    GcraLimiter(std::uint64_t limit, shm::Nanos window) noexcept
        : per_unit_ns_(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(window.count()) / limit)),
          window_ns_(static_cast<std::uint64_t>(window.count())) {}

    bool admit(std::uint64_t units, shm::Nanos now) noexcept {
        const auto at = static_cast<std::uint64_t>(now.count());
        std::uint64_t arrival = arrival_.load(std::memory_order_relaxed);  // ORDER(gcra): the only word
        for (;;) {
            const std::uint64_t next = std::max(arrival, at) + units * per_unit_ns_;
            if (next > at + window_ns_) return false;
            // ORDER(gcra): nothing else depends on it.
            if (arrival_.cas(arrival, next, std::memory_order_relaxed, std::memory_order_relaxed))
                return true;
        }
    }

 private:
    shm::Word arrival_;
    std::uint64_t per_unit_ns_;
    std::uint64_t window_ns_;
};

/// Both limiters, in the segment.
struct Rivals {
    alignas(64) MutexLimiter mutex;
    alignas(64) GcraLimiter gcra;
};

/// Makes them in `segment`, with room for more than any benchmark takes.
Rivals& make_rivals(shm::Segment& segment);

/// Finds them again, in another process.
Rivals& find_rivals(shm::Segment& segment);

/// mutex_1_scope and gcra_1_word, clock read included.
std::vector<std::unique_ptr<Subject>> rival_subjects(Rivals& rivals);

}  // namespace weir::bench
