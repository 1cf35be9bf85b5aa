#include "proxy/block_cache.hpp"

#include <malloc.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>

namespace weir::proxy {
namespace {

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
        void* const block = std::malloc(given);
        const std::size_t usable = ::malloc_usable_size(block);
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
    void* const large = std::malloc(4096);
    CHECK_FALSE(cache.give(large, ::malloc_usable_size(large)));
    std::free(large);
    for (void* const block : blocks) std::free(block);
}

}  // namespace
}  // namespace weir::proxy
