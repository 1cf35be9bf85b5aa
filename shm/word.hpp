// The one kind of memory that processes share: a 64-bit atomic word.
//
// The algorithms of this folder are templates over the word type, so that a test can put a scheduler in its
// place and try every interleaving (tests/model). This is the word of the product.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::shm {

/// A 64-bit word in shared memory. Orders are always spelled out, and each is explained where it is used.
/// Zero bytes are a valid word of value 0, so a fresh segment needs no construction.
class Word {
 public:
    std::uint64_t load(std::memory_order order) const noexcept { return value_.load(order); }
    void store(std::uint64_t value, std::memory_order order) noexcept { value_.store(value, order); }

    /// Strong compare-and-swap: on failure `expected` takes the value found, read with `failure`.
    bool cas(std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
             std::memory_order failure) noexcept {
        return value_.compare_exchange_strong(expected, desired, success, failure);
    }

    std::uint64_t fetch_add(std::uint64_t amount, std::memory_order order) noexcept {
        return value_.fetch_add(amount, order);
    }

 private:
    std::atomic<std::uint64_t> value_{0};
};

/// Asks for the cache line at `address`, to be written soon. A hint: it changes nothing but the time.
inline void fetch_for_writing(const void* address) noexcept {
#if defined(__x86_64__)
    // __builtin_prefetch would fetch it for reading here, and the write then has to ask once more: two
    // processes on one limiter get half as much done. A processor without this instruction ignores it.
    asm("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
    __builtin_prefetch(address, 1);
#endif
}

// A lock hidden in the atomic would be private to each process, and left held by a dead one.
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(Word) == 8);
static_assert(alignof(Word) == 8);

}  // namespace weir::shm
