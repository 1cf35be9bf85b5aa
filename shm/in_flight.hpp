// The in-flight gauge: how many requests are under way, over all processes, and whose they are.
//
// Representation.
//   total    (sequence, slot, operation, count): the count over all participants, and the last
//            change to it
//   cell[p]  (sequence, turn, count): the share of participant p; a turn for each change of it
// A change is one CAS on `total` that also says what it means for one cell. The cell follows:
// whoever comes next applies the change first, if its author has not, and then makes its own. So
// total = sum of the cells at every moment but for one change that anybody can finish.
//
// Invariants.
//   G1  A change is in force from the CAS on `total`; before the next one it has reached its cell.
//   G2  A cell takes the change of sequence s exactly once: the CAS expects what the cell held
//       while `total` still stood at s, and a cell that has taken a change is another one: in its
//       sequence, or, if that has run round while the cell was left alone, in its turn.
// Progress: lock-free; nobody waits for a dead author. Whoever finds a participant dead clears its
// cell by one more change (`clear`), and the count is exact again.
//
// What it does not promise: anything to a process that sleeps through 2^12 changes of one share, or
// 2^32 of the total, between two instructions.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::shm {

/// What became of an attempt to take a slot.
enum class Hold : std::uint8_t { taken, full, corrupt };

/// Static functions over the words; a template so that a test can put a scheduler in place of the
/// word.
template <class WordT>
class InFlight {
    static constexpr auto kAcquire =
        std::memory_order_acquire;  // ORDER(gauge): names for the lines below
    static constexpr auto kAcqRel = std::memory_order_acq_rel;   // ORDER(gauge)
    static constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(gauge)

    enum Operation : std::uint64_t { add = 0, subtract = 1, clear = 2 };

    /// Lost rounds are other participants' progress; a corrupted word must not become a spin.
    static constexpr unsigned kRoundsMax = 1u << 16;

    struct Total {
        std::uint64_t word;
        std::uint64_t sequence() const noexcept { return word >> 32; }
        std::uint64_t slot() const noexcept { return word >> 22 & 0x3ff; }
        std::uint64_t operation() const noexcept { return word >> 20 & 3; }
        std::uint64_t count() const noexcept { return word & kCountMax; }
    };

 public:
    static constexpr std::uint64_t kCountMax = (1u << 20) - 1;
    static constexpr std::uint32_t kSlotsMax = 1024;

    struct View {
        WordT& total;
        WordT* cells;
        std::uint32_t slots;  // at most kSlotsMax
    };

    /// Takes one for participant `slot` unless there are `max` already; 0 is no maximum.
    static Hold take(View view, std::uint32_t slot, std::uint64_t max,
                     std::uint64_t& retries) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            Total total{};
            if (!settle(view, total)) return Hold::corrupt;
            if (max != 0 && total.count() >= max) return Hold::full;
            if (total.count() == kCountMax) return Hold::full;
            if (change(view, total, add, slot, total.count() + 1)) return Hold::taken;
            ++retries;
        }
        return Hold::corrupt;
    }

    /// Gives one of participant `slot` back. Does nothing if it holds none.
    static void drop(View view, std::uint32_t slot, std::uint64_t& retries) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            Total total{};
            if (!settle(view, total)) return;
            if (total.count() == 0 || share(view, slot) == 0) return;
            if (change(view, total, subtract, slot, total.count() - 1)) return;
            ++retries;
        }
    }

    /// Takes all that participant `slot` holds from it: it is dead, or leaves.
    static void clear_share(View view, std::uint32_t slot) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            Total total{};
            if (!settle(view, total)) return;
            const std::uint64_t held = share(view, slot);
            if (held == 0) return;
            const std::uint64_t rest = total.count() > held ? total.count() - held : 0;
            if (change(view, total, clear, slot, rest)) return;
        }
    }

    /// False if any are under way. Otherwise `total` is another word from here on, though it counts the
    /// same: whoever has looked at it and is about to take a slot looks again. For whoever gives the gauge
    /// another name.
    static bool close(View view) noexcept {
        Total total{};
        if (!settle(view, total) || total.count() != 0) return false;
        return change(view, total, clear, static_cast<std::uint32_t>(total.slot()), 0);
    }

    /// How many are under way. Writes nothing.
    static std::uint64_t count(const WordT& total) noexcept {
        return Total{total.load(kRelaxed)}
            .count();  // ORDER(gauge): one word, no other depends on it
    }

    /// The share of one participant; one change may still be on its way to it.
    static std::uint64_t share(View view, std::uint32_t slot) noexcept {
        return view.cells[slot].load(kAcquire) & kCountMax;  // ORDER(gauge): pairs with settle's CAS
    }

 private:
    /// Brings the last change to its cell, and returns the total that it then stands at. False if
    /// `total` names no participant.
    static bool settle(View view, Total& total) noexcept {
        for (unsigned round = 0; round < kRoundsMax; ++round) {
            total.word = view.total.load(kAcquire);  // ORDER(gauge): pairs with change()
            if (total.slot() >= view.slots) return false;
            WordT& cell = view.cells[total.slot()];
            std::uint64_t held =
                cell.load(kAcquire);  // ORDER(gauge): before the second look at total
            if (held >> 32 == total.sequence()) return true;
            // G2: with `total` unchanged after the cell was read, the change has not reached it
            // yet.
            if (view.total.load(kAcquire) != total.word) continue;  // ORDER(gauge): likewise
            const std::uint64_t after = total.sequence() << 32 | next_turn(held) |
                                        applied(total.operation(), held & kCountMax);
            // ORDER(gauge): release hands on the change together with what this process saw.
            cell.cas(held, after, kAcqRel, kRelaxed);
        }
        return false;
    }

    static std::uint64_t next_turn(std::uint64_t held) noexcept {
        return (held + (1u << 20)) & 0xfff0'0000;
    }

    static std::uint64_t applied(std::uint64_t operation, std::uint64_t count) noexcept {
        if (operation == add) return count + 1;
        if (operation == subtract) return count == 0 ? 0 : count - 1;
        return 0;
    }

    static bool change(View view, Total total, Operation operation, std::uint32_t slot,
                       std::uint64_t count) noexcept {
        const std::uint64_t sequence = (total.sequence() + 1) & 0xffff'ffff;
        const std::uint64_t wanted = sequence << 32 | static_cast<std::uint64_t>(slot) << 22 |
                                     static_cast<std::uint64_t>(operation) << 20 | count;
        std::uint64_t expected = total.word;
        // ORDER(gauge): release; who reads the new total sees the cell that settle() saw or made.
        if (!view.total.cas(expected, wanted, kAcqRel, kRelaxed)) return false;
        Total now{};
        settle(view, now);
        return true;
    }
};

}  // namespace weir::shm
