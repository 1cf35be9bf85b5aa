// The inside of a Participant. Internal to shm/. Thread safety: none; one thread at a time.
#pragma once

#include <memory>

#include "shm/file_lock.hpp"
#include "shm/participant.hpp"
#include "shm/recorder.hpp"
#include "shm/segment_impl.hpp"

namespace weir::shm {

struct ParticipantImpl {
    std::shared_ptr<SegmentImpl> segment;
    std::uint32_t slot = 0;
    std::uint32_t born = 0;  // fork_count() at joining
    ParticipantRecord* record = nullptr;
    RingWriter ring;
    Contention contention;
    std::uint64_t retries_counted = 0;
    bool admitting = true;  // whether the last demand passed: most likely the next one does
    Nanos reaped_at{};    // when this participant last looked for the dead
    Nanos blocked_at{};   // when a full gauge last made it look

    /// Whether this process may still use what it has mapped.
    bool usable() const noexcept { return !segment->broken() && born == fork_count(); }

    /// Adds to this participant's own counter. Single writer, so no read-modify-write is needed.
    void count(OwnCounter counter, std::uint64_t amount = 1) noexcept {
        Word& word = record->own[static_cast<std::size_t>(counter)];
        // ORDER(counter): a sum with one writer, read by itself.
        word.store(word.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
};

}  // namespace weir::shm
