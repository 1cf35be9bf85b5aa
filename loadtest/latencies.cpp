#include "loadtest/latencies.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir::loadtest {

// Below 16 µs each microsecond has a bucket; above, the four bits behind the leading one choose it.
std::size_t Latencies::bucket_of(std::uint64_t micros) noexcept {
    if (micros < kPerOctave) return micros;
    // 16 to 31 µs are octave 0.
    const std::size_t octave = 59 - static_cast<std::size_t>(std::countl_zero(micros));
    return kPerOctave * (octave + 1) + ((micros >> octave) - kPerOctave);
}

// The largest value of a bucket.
std::uint64_t Latencies::end_of(std::size_t bucket) noexcept {
    if (bucket < kPerOctave) return bucket;
    const std::size_t octave = bucket / kPerOctave - 1;
    const std::uint64_t leading = kPerOctave + bucket % kPerOctave;
    return ((leading + 1) << octave) - 1;
}

void Latencies::add(Nanos latency) noexcept {
    const auto micros = std::chrono::ceil<std::chrono::microseconds>(latency).count();
    const auto bounded = static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 1));
    ++counts_[std::min(bucket_of(bounded), counts_.size() - 1)];
    ++count_;
    max_ = std::max(max_, latency);
}

void Latencies::add(const Latencies& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
}

Nanos Latencies::percentile(double share) const noexcept {
    const auto needed = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size() && count_ > 0; ++i) {
        seen += counts_[i];
        if (seen >= needed && seen > 0) {
            return std::min(max_, Nanos(std::chrono::microseconds(static_cast<std::int64_t>(end_of(i)))));
        }
    }
    return max_;
}

}  // namespace weir::loadtest
