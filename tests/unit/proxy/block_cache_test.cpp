#include "proxy/block_cache.hpp"

#include <malloc.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>
#include <utility>

namespace weir::proxy {
namespace {

/// A block of at least `bytes`, and how many it has as glibc makes it. A sanitizer's malloc counts just what
/// it was asked for, so there it is asked for what glibc would have made of it.
std::pair<void*, std::size_t> glibc_block(std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const std::size_t usable = std::max<std::size_t>((bytes + 8 + 15) / 16 * 16, 32) - 8;
    return {std::malloc(usable), usable};
#else
    void* const block = std::malloc(bytes);
    return {block, ::malloc_usable_size(block)};
#endif
}

TEST_CASE("a block comes back to whoever asks for no more than it has, the latest first") {
    BlockCache cache;
    CHECK(cache.take(100) == nullptr);
    void* const first = std::malloc(104);
    void* const second = std::malloc(104);
    REQUIRE(cache.give(first, 104));
    REQUIRE(cache.give(second, 104));
    CHECK(cache.take(200) == nullptr);
    CHECK(cache.take(104) == second);
    CHECK(cache.take(97) == first);
    CHECK(cache.take(100) == nullptr);
    std::free(first);
    std::free(second);
}

TEST_CASE("whatever is taken is as large as it was asked to be") {
    BlockCache cache;
    for (std::size_t given = 1; given <= BlockCache::kBytesMax; ++given) {
        const auto [block, usable] = glibc_block(given);
        const bool kept = cache.give(block, usable);
        REQUIRE(kept == (usable >= sizeof(void*) && usable <= BlockCache::kBytesMax + 8));
        REQUIRE(cache.take(usable + 1) == nullptr);
        if (kept) REQUIRE(cache.take(usable) == block);
        std::free(block);
    }
}

TEST_CASE("no more are kept than there is room for, and none that are large") {
    BlockCache cache;
    std::set<void*> blocks;
    for (unsigned i = 0; i <= BlockCache::kBlocksMax; ++i) {
        void* const block = std::malloc(72);
        blocks.insert(block);
        CHECK(cache.give(block, 72) == (i < BlockCache::kBlocksMax));
    }
    for (unsigned i = 0; i < BlockCache::kBlocksMax; ++i) CHECK(blocks.count(cache.take(64)) == 1);
    CHECK(cache.take(64) == nullptr);
    const auto [large, usable] = glibc_block(4096);
    CHECK_FALSE(cache.give(large, usable));
    std::free(large);
    for (void* const block : blocks) std::free(block);
}

}  // namespace
}  // namespace weir::proxy
