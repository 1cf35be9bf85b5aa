// The inside of a Participant. Internal to shm/. Thread safety: none; one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "shm/file_lock.hpp"
#include "shm/participant.hpp"
#include "shm/recorder.hpp"
#include "shm/segment_impl.hpp"

namespace weir::shm {

struct ParticipantImpl {
    std::shared_ptr<SegmentImpl> segment;
    std::uint32_t slot = 0;
    std::uint32_t born = 0;  // fork_count() at joining
    std::uint64_t life = 0;  // of the slot, for as long as it is this participant's
    std::string role;
    ParticipantRecord* record = nullptr;
    RingWriter ring;
    Contention contention;
    std::uint64_t retries_counted = 0;
    bool admitting = true;  // whether the last demand passed: most likely the next one does
    Nanos reaped_at{};    // when this participant last looked for the dead
    Nanos blocked_at{};   // when a full gauge last made it look

    /// This participant in the segment that its process uses instead by now, or in another slot of the same;
    /// null while it is here.
    std::unique_ptr<ParticipantImpl> successor;
    Nanos replace_after{};  // when it may be tried again

    /// Whether this process may still use what it has mapped, by this slot: it has not been taken from it for
    /// a dead one's, nor has the segment been left.
    bool usable() const noexcept {
        // ORDER(slot): one word; a change after the look is as if it had come after the decision
        return segment->usable() && born == fork_count() &&
               record->life.load(std::memory_order_relaxed) == life;
    }

    /// This participant where it counts now, joined there first if need be; null if it can do nothing. By its
    /// own thread.
    ParticipantImpl* follow() noexcept;
    /// Where it was last; without joining.
    ParticipantImpl& latest() noexcept {
        ParticipantImpl* at = this;
        while (at->successor) at = at->successor.get();
        return *at;
    }

    /// Adds to this participant's own counter. Single writer, so no read-modify-write is needed.
    void count(OwnCounter counter, std::uint64_t amount = 1) noexcept {
        Word& word = record->own[static_cast<std::size_t>(counter)];
        // ORDER(counter): a sum with one writer, read by itself.
        word.store(word.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
};

/// Takes a slot. Throws DirectoryFull, SegmentError (segment.cpp).
std::unique_ptr<ParticipantImpl> join_segment(const std::shared_ptr<SegmentImpl>& impl,
                                              std::string_view role);

}  // namespace weir::shm
