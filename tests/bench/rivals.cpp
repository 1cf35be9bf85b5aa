#include "tests/bench/rivals.hpp"

#include <cerrno>
#include <new>
#include <stdexcept>

#include "shm/layout.hpp"
#include "tests/bench/weir_subjects.hpp"

namespace weir::bench {

namespace {

/// The edges and credits of a limiter that nobody charges: a kilobyte of the segment, 64-byte aligned.
void* room_in(shm::Segment& segment) {
    static_assert(sizeof(Rivals) <= sizeof(shm::WindowRecord::state.edge) * 2);
    return segment.limiter({"bench", "room of the rivals", shm::Unit::requests, kLongWindow}, 1)
        .record->state.edge;
}

}  // namespace

MutexLimiter::MutexLimiter(std::uint64_t limit, shm::Nanos window)
    : tick_ns_(static_cast<std::uint64_t>(window.count()) / kTicks), limit_(limit) {
    pthread_mutexattr_t attributes;
    bool made = ::pthread_mutexattr_init(&attributes) == 0;
    made = made && ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0;
    made = made && ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0;
    made = made && ::pthread_mutex_init(&mutex_, &attributes) == 0;
    ::pthread_mutexattr_destroy(&attributes);
    if (!made) throw std::runtime_error("no robust mutex that processes share");
}

bool MutexLimiter::lock() noexcept {
    const int error = ::pthread_mutex_lock(&mutex_);
    // Its holder died. These counters bear it; larger ones would need repair here.
    if (error == EOWNERDEAD) return ::pthread_mutex_consistent(&mutex_) == 0;
    return error == 0;
}

void MutexLimiter::move_to(std::uint64_t tick) noexcept {
    if (tick <= tick_) return;
    for (std::uint64_t k = tick - tick_ > kTicks ? tick - kTicks : tick_ + 1; k <= tick; ++k) {
        std::uint64_t& bucket = buckets_[k % (kTicks + 1)];
        total_ -= bucket;
        bucket = 0;
    }
    tick_ = tick;
}

bool MutexLimiter::admit(std::uint64_t units, shm::Nanos now) noexcept {
    if (!lock()) return false;
    move_to(static_cast<std::uint64_t>(now.count()) / tick_ns_);
    const bool fits = total_ + units <= limit_;
    if (fits) {
        total_ += units;
        buckets_[tick_ % (kTicks + 1)] += units;
    }
    ::pthread_mutex_unlock(&mutex_);
    return fits;
}

Rivals& make_rivals(shm::Segment& segment) {
    return *new (room_in(segment)) Rivals{{kPlenty, kLongWindow}, {kPlenty, kLongWindow}};
}

Rivals& find_rivals(shm::Segment& segment) {
    return *std::launder(static_cast<Rivals*>(room_in(segment)));
}

std::vector<std::unique_ptr<Subject>> rival_subjects(Rivals& rivals) {
    std::vector<std::unique_ptr<Subject>> all;
    all.push_back(std::make_unique<Loop>("mutex_1_scope", 20'000, [&rivals](std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) keep(rivals.mutex.admit(1, shm::now()));
    }));
    all.push_back(std::make_unique<Loop>("gcra_1_word", 20'000, [&rivals](std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) keep(rivals.gcra.admit(1, shm::now()));
    }));
    return all;
}

}  // namespace weir::bench
