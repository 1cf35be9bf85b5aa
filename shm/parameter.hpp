// A parameter of a record, that may change while the record serves a name: a limit, a maximum.
//
// A record comes to serve another name at any time (life.hpp), also between somebody's look at whether it
// still serves theirs and their writing. So the word says for which life it was set, and is only changed by a
// compare-and-swap within that life: who comes too late changes nothing.
//
// The value is the low bits. The generation above it is cut to what fits: to be taken for one of the present,
// a process would have to sleep through 2^(64 - kValueBits) lives of one record, 16 million of them, between
// two of its own instructions.
//
// Internal to shm/. Thread safety: all of it but pack(), whose result is stored by whoever makes the record.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "shm/life.hpp"

namespace weir::shm {

template <unsigned ValueBits = 40>
class Parameter {
 public:
    static constexpr unsigned kValueBits = ValueBits;
    static constexpr std::uint64_t kMax = (std::uint64_t{1} << ValueBits) - 1;

    /// The word that says `value` (0 .. kMax) in the life that `life` belongs to, whatever its state.
    static constexpr std::uint64_t pack(std::uint64_t life, std::uint64_t value) noexcept {
        return Life::generation_of(life) << ValueBits | value;
    }

    static constexpr std::uint64_t value_of(std::uint64_t word) noexcept { return word & kMax; }

    /// Makes it `value` (0 .. kMax), and returns what it was before; empty if `life` is over, and then
    /// nothing has changed.
    template <class WordT>
    static std::optional<std::uint64_t> change(WordT& word, std::uint64_t life,
                                               std::uint64_t value) noexcept {
        return set(word, life, value, true);
    }

    /// The same, but leaves it as it is if it is less already.
    template <class WordT>
    static std::optional<std::uint64_t> lower(WordT& word, std::uint64_t life,
                                              std::uint64_t value) noexcept {
        return set(word, life, value, false);
    }

 private:
    template <class WordT>
    static std::optional<std::uint64_t> set(WordT& word, std::uint64_t life, std::uint64_t value,
                                            bool may_raise) noexcept {
        const std::uint64_t wanted = pack(life, value);
        // ORDER(limit): acquire and release: of two who change it, the second sees what the first has written
        // before. Whoever must be sure that nobody goes on with the value before changes the words that
        // decisions compete for afterwards (Window::supersede).
        std::uint64_t found = word.load(std::memory_order_acquire);
        while ((found ^ wanted) >> ValueBits == 0) {
            const std::uint64_t before = value_of(found);
            if (before == value || (value > before && !may_raise)) return before;
            // ORDER(limit): likewise
            if (word.cas(found, wanted, std::memory_order_acq_rel, std::memory_order_acquire)) {
                return before;
            }
        }
        return std::nullopt;
    }
};

}  // namespace weir::shm
