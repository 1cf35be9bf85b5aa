// A participant's part in the lines of a segment, where requests wait for capacity: tells the others how
// far its own have come, and finds out whose turn it is. The rules are in line.hpp.
//
// It does not wait and wakes nobody itself: it says which participants are to be woken. A process that
// is told of nothing looks again now and then.
//
// Thread safety: none; it belongs to the thread of its participant. Process safety: all of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shm/clock.hpp"
#include "shm/limiter.hpp"
#include "shm/line.hpp"
#include "shm/participant.hpp"
#include "shm/segment.hpp"

namespace weir::shm {

class Lines {
 public:
    /// `participant` must outlive it, and stay where it is.
    Lines(const Segment& segment, const Participant& participant);

    std::uint32_t slot() const noexcept;

    /// A name for the segment as it is now: another one after it was removed and made anew.
    std::string segment_name() const;

    /// The first of this participant's waiters begins to wait, and the last one has ended.
    void begin(Nanos now) noexcept;
    void end() noexcept;

    /// Whether any other participant waits for anything. A load or two, for every request asks.
    bool others_wait() const noexcept;

    /// Says where the first of this participant's waiters stands in `line`, or that none does.
    void set_front(Line line, const Place& place) noexcept;
    void clear_front(Line line) noexcept;

    /// Whether nobody else has to be served before one who stands, or would stand, at `place`.
    bool is_first(Line line, const Place& place, Nanos now) const noexcept;

    /// Begins to look after those who wait; to be called at least every kSilentMax while any do.
    void look(Nanos now) noexcept;
    /// Has looked, and none of its waiters was at the front of a line.
    void step_back() noexcept;

    /// After capacity has come back: the participants that must be woken. Good until the next call.
    const std::vector<std::uint32_t>& woken_by_capacity() noexcept;

    /// After this participant's front in `line` has gone or moved back: likewise.
    const std::vector<std::uint32_t>& woken_by_turn(Line line, Nanos now) noexcept;

 private:
    template <class Visit>
    void each_front_of_others(Line line, Nanos now, Visit&& visit) const noexcept;
    bool lives(Line line) const noexcept;
    void pull(std::uint32_t slot, Bell what) noexcept;

    std::shared_ptr<SegmentImpl> segment_;
    ParticipantImpl* participant_;
    std::vector<std::uint32_t> woken_;
};

}  // namespace weir::shm
