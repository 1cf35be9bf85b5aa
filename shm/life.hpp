// A record's life: which of the names that it has served one after the other it serves now.
//
// One word says it: generation and state. A handle keeps the whole word of a live record, so one comparison
// tells whether it still names the same thing. Lives begin and end under the directory lock; whoever dies in
// between leaves a state that the next holder of the lock undoes.
//
//   free ──► building ──► live ──► checking ──► building ──► live …
//                          ▲          │
//                          └──────────┘  it is in use: nothing has changed
//
// Internal to shm/. The steps are templates over the word, so that a test can try every interleaving of them
// with those who come by handles (tests/model/reuse_model.hpp). Thread safety: as said at each.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::shm {

struct Life {
    enum State : std::uint8_t {
        free = 0,
        live = 1,
        checking = 2,  // being looked at for eviction; nothing has changed yet
        building = 3,  // being made; belongs to the holder of the directory lock
    };
    static constexpr std::uint64_t pack(std::uint64_t generation, State state) noexcept {
        return (generation & 0xffff'ffff) << 8 | state;
    }
    static constexpr State state_of(std::uint64_t word) noexcept {
        return static_cast<State>(word & 0xff);
    }
    static constexpr std::uint64_t generation_of(std::uint64_t word) noexcept {
        return word >> 8 & 0xffff'ffff;
    }
};

/// Takes a record that is free, or live and idle, to `building` of its next generation. `idle()` is a first
/// look, so that what is in use is left alone. `retire()` is called at `checking` and has the last word; it
/// must see to it that whoever has found the record live before is not admitted any more. Under the directory
/// lock. False: it is in use, and lives on.
template <class WordT, class Idle, class Retire>
bool end_life(WordT& life, const Idle& idle, const Retire& retire) noexcept {
    // ORDER(life): lock held; acquire for the identity
    const std::uint64_t found = life.load(std::memory_order_acquire);
    const std::uint64_t generation = Life::generation_of(found);
    if (Life::state_of(found) == Life::live) {
        if (!idle()) return false;
        // ORDER(life): the first release of `retire` on the record's words hands this on to every decision
        // that reads them afterwards; such a decision looks at `life` again and finds the change.
        life.store(Life::pack(generation, Life::checking), std::memory_order_release);
        if (!retire()) {
            life.store(found, std::memory_order_release);  // ORDER(life): nothing has changed
            return false;
        }
    }
    // ORDER(life): release, before any word of the identity or a parameter changes; who reads one of those
    // with acquire and then looks here finds this.
    life.store(Life::pack(generation + 1, Life::building), std::memory_order_release);
    return true;
}

/// Makes a record at `building` live, and returns what handles of it keep. Under the directory lock.
template <class WordT>
std::uint64_t begin_life(WordT& life) noexcept {
    const std::uint64_t generation =
        Life::generation_of(life.load(std::memory_order_relaxed));  // ORDER(life): lock held
    const std::uint64_t live = Life::pack(generation, Life::live);
    // ORDER(life): release; whoever sees the record live sees all of it.
    life.store(live, std::memory_order_release);
    return live;
}

/// Finishes or undoes what a holder of the directory lock was at when it died. `bury()` is called for a
/// record that has no name any more: it must not be found. Under the directory lock.
template <class WordT, class Bury>
void repair_life(WordT& life, const Bury& bury) noexcept {
    // ORDER(life): what the dead one stored; released as above
    const std::uint64_t found = life.load(std::memory_order_acquire);
    const std::uint64_t generation = Life::generation_of(found);
    switch (Life::state_of(found)) {
        case Life::free:  // nothing was begun
        case Life::live:  // finished but for the note
            break;
        case Life::checking:  // nothing had changed
            life.store(Life::pack(generation, Life::live), std::memory_order_release);  // ORDER(life)
            break;
        case Life::building:
        default:
            bury();
            life.store(Life::pack(generation, Life::free), std::memory_order_release);  // ORDER(life)
    }
}

}  // namespace weir::shm
