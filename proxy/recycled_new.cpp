// operator new and delete of weir-proxy: malloc's, with a BlockCache before it for each thread.
//
// Not under a sanitizer, which has its own and would not see who uses what has been deleted.
#include <malloc.h>

#include <cstdlib>
#include <new>

#include "proxy/block_cache.hpp"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

// What is in it when a thread ends is lost; the threads of a worker last as long as it does.
constinit thread_local weir::proxy::BlockCache block_cache;

}  // namespace

void* operator new(std::size_t bytes) {
    if (void* const block = block_cache.take(bytes)) return block;
    for (;;) {
        if (void* const block = std::malloc(bytes == 0 ? 1 : bytes)) return block;
        const std::new_handler make_room = std::get_new_handler();
        if (!make_room) throw std::bad_alloc();
        make_room();
    }
}

void operator delete(void* block) noexcept {
    if (block != nullptr && !block_cache.give(block, ::malloc_usable_size(block))) std::free(block);
}

void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

#endif
