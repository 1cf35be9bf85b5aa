// Small blocks of memory that have been given back, to be taken again: a request makes some forty of them,
// many of them coroutine frames, and with many in flight glibc's own cache of seven for each size runs dry.
//
// Thread safety: none; one for each thread. Blocks may wander between threads.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace weir::proxy {

/// Keeps blocks of malloc in lists by their size. What is in it at its end is lost.
class BlockCache {
 public:
    /// Larger blocks are not kept.
    static constexpr std::size_t kBytesMax = 1024;
    /// So many of a size are, at most: 2 MiB if it were so many of every size.
    static constexpr unsigned kBlocksMax = 64;

    /// A block of at least `bytes`, or null if there is none.
    void* take(std::size_t bytes) noexcept {
        const std::size_t index = chunks(bytes);
        if (index >= lists_.size() || lists_[index].first == nullptr) return nullptr;
        List& list = lists_[index];
        Block* const block = list.first;
        list.first = block->next;
        --list.count;
        return block;
    }

    /// Keeps `block`, which has `usable` bytes as malloc_usable_size counts them. False if it does not: it
    /// keeps nothing that a pointer does not fit into.
    bool give(void* block, std::size_t usable) noexcept {
        const std::size_t index = chunks(usable);
        if (usable < sizeof(Block) || index >= lists_.size()) return false;
        if (lists_[index].count == kBlocksMax) return false;
        List& list = lists_[index];
        list.first = ::new (block) Block{list.first};
        ++list.count;
        return true;
    }

 private:
    struct Block {
        Block* next;
    };
    struct List {
        Block* first;
        unsigned count;
    };

    /// glibc's blocks are multiples of 16 bytes, of which 8 are its own: all blocks with the same number here
    /// are of the same size.
    static constexpr std::size_t chunks(std::size_t bytes) noexcept { return (bytes + 8 + 15) / 16; }

    std::array<List, (kBytesMax + 8 + 15) / 16 + 1> lists_{};
};

}  // namespace weir::proxy
