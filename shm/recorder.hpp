// The flight recorder: a ring of the last decisions of each participant, cheap enough to stay on.
//
// One writer per ring, any number of readers in any process. The writer stores four words and then
// its position; a reader takes the position, copies, and takes it again: what the writer may have
// overwritten in the meantime is left out.
//
// The time of a record lies within the tick that was charged: when the limiter was ahead of the
// decider's clock, it is the start of that tick. So decisions sorted by their recorded time are
// never over the limit. A process killed between its charge and its record leaves no record of it.
//
// Thread safety: write() by the ring's owner only; read_ring() by anybody.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/clock.hpp"
#include "shm/layout.hpp"

namespace weir::shm {

enum class Recorded : std::uint8_t {
    admit = 1,      ///< charged within the limit
    refuse = 2,     ///< refused; the scope that refused
    give_back = 3,  ///< units of an earlier charge given back; time and tick are that charge's
    charge = 4,     ///< charged whatever the limit said
    give_back_charge = 5,  ///< units of such a charge given back
};

/// One recorded decision on one window limiter.
struct Decided {
    std::uint64_t time_ns = 0;
    std::uint32_t record = 0;      ///< index of the window
    std::uint32_t generation = 0;  ///< of the window's life, as stored: 32 bits
    Recorded kind = Recorded::admit;
    Units units = 0;
    std::uint64_t tick = 0;
};

/// The writing end.
class RingWriter {
 public:
    RingWriter() = default;
    RingWriter(RingRecord* ring, std::uint32_t records, Word& position) noexcept
        : ring_(ring),
          mask_(records - 1),
          position_(&position),
          // ORDER(ring): this participant's alone; the last owner's stores came with the slot.
          next_(position.load(std::memory_order_relaxed)) {}

    /// Consecutive refusals by the same limiter share one record, with the latest time, and `units`
    /// counts them; otherwise a storm of refusals would soon overwrite what was admitted.
    void write_refusal(Decided decided) noexcept {
        const std::uint64_t what = packed(decided);
        if (what == last_) {
            RingRecord& record = ring_[(next_ - 1) & mask_];
            // ORDER(ring): within the latest record; a reader may see the new time with the old
            // count.
            record.time.store(decided.time_ns, std::memory_order_release);
            record.units.store(++refusals_, std::memory_order_release);  // ORDER(ring)
            return;
        }
        refusals_ = decided.units = 1;
        write(decided);
        last_ = what;
    }

    void write(const Decided& decided) noexcept {
        last_ = 0;
        RingRecord& record = ring_[next_ & mask_];
        const std::uint64_t what = packed(decided);
        // ORDER(ring): release, so that a reader who sees a word of this record also sees the
        // position before it, and knows what is being overwritten. Free on x86.
        record.time.store(decided.time_ns, std::memory_order_release);
        record.what.store(what, std::memory_order_release);            // ORDER(ring)
        record.units.store(decided.units, std::memory_order_release);  // ORDER(ring)
        record.tick.store(decided.tick, std::memory_order_release);    // ORDER(ring)
        // ORDER(ring): release; the record is complete before the position says so.
        position_->store(++next_, std::memory_order_release);
        // The ring is larger than the first-level cache, and the next decision's compare-and-swap waits for
        // all stores before it: fetch the line that they go to in time.
        fetch_for_writing(&ring_[(next_ + 1) & mask_]);
    }

 private:
    static constexpr std::uint64_t packed(const Decided& decided) noexcept {
        return std::uint64_t{decided.record} | std::uint64_t{decided.generation} << 24 |
               static_cast<std::uint64_t>(decided.kind) << 56;
    }

    RingRecord* ring_ = nullptr;
    std::uint64_t mask_ = 0;
    Word* position_ = nullptr;
    std::uint64_t next_ = 0;
    std::uint64_t last_ = 0;  // `what` of the latest record if it is a refusal
    std::uint64_t refusals_ = 0;
};

/// What a ring holds, oldest first.
struct RingCopy {
    std::vector<Decided> decisions;
    std::uint64_t first = 0;   ///< number of the first one since the ring was made
    bool overwritten = false;  ///< whether older ones are gone
};

/// Copies what is readable, at most the last `count_max`.
RingCopy read_ring(const RingRecord* ring, std::uint32_t records, const Word& position,
                   std::uint64_t count_max);

}  // namespace weir::shm
