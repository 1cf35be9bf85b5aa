// How long answers took: a histogram whose buckets are at most 1/16 wide of what they hold, so that
// percentiles of any number of answers, from any number of processes, cost a few kilobytes.
//
// Thread safety: values. Trivially copyable, so that it can go through a pipe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "loadtest/batch.hpp"

namespace weir::loadtest {

class Latencies {
 public:
    /// Counts one answer. What is shorter than 1 µs counts as 1 µs, what is longer than half an hour as that.
    void add(Nanos latency) noexcept;
    void add(const Latencies& other) noexcept;

    std::uint64_t count() const noexcept { return count_; }

    /// The latency that `share` (0 to 1) of the answers did not exceed, rounded up to its bucket's end
    /// but never above max(). Zero if there are none.
    Nanos percentile(double share) const noexcept;
    Nanos max() const noexcept { return max_; }

 private:
    static constexpr std::size_t kPerOctave = 16;
    static constexpr std::size_t kOctaves = 31;  // of microseconds: 2^31 µs are 36 minutes

    static std::size_t bucket_of(std::uint64_t micros) noexcept;
    static std::uint64_t end_of(std::size_t bucket) noexcept;

    std::array<std::uint64_t, kPerOctave * kOctaves> counts_{};
    std::uint64_t count_ = 0;
    Nanos max_{0};
};

}  // namespace weir::loadtest
