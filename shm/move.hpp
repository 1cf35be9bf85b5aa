// Leaving a segment that has lost its name for the one that bears it, with all that is used.
//
// The name of a segment can go, or come to lead to another file, while processes use it: logind's RemoveIPC,
// `rm`, a careless start script. Each user then leaves it for the segment that bears the name, by itself and
// without waiting for anybody (docs/design/segment.md, "When the name is lost"):
//
//   1  it opens the segment of that name, or makes one, and marks the old one (`Header::successor`): nobody
//      makes a name in it any more;
//   2  it ends each window limiter of the old one (`moving`): no handle of it is admitted any more. Then it
//      charges what the limiter had used to the one of the same name in the new segment (`moved`);
//   3  when all of them have moved it uses the new segment, and only then.
//
// Several do this at once. Who changes a limiter's life to `moving` moves it; where that one does not get on
// with it (it was stopped or killed) another one moves it once more. Then it is charged twice, which is the
// safe side.
//
// What is in flight goes over with the participants that hold it, each by itself.
//
// Internal to shm/. Thread safety: all of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "shm/limiter.hpp"
#include "shm/name_key.hpp"
#include "shm/segment_impl.hpp"

namespace weir::shm {

/// A record's life (life.hpp) while its segment is being left: its handles are refused as evicted.
inline constexpr auto kMoving = static_cast<Life::State>(8);
inline constexpr auto kMoved = static_cast<Life::State>(9);

/// Moves every window limiter of `from` to `to`. Returns when all are there, whoever has moved them.
/// Throws what making a name in `to` throws; what has moved by then stays so.
void move_windows(SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to, Nanos now);

/// Ends the life of every gauge of `from`: nobody takes a slot of it any more. Those that are taken stay so
/// until their participants have come over.
void close_gauges(SegmentImpl& from) noexcept;

/// Takes in `to`, for the participant in `new_slot`, what the one in `old_slot` of `from` has in flight.
/// Returns how much of it found no room.
unsigned move_share(SegmentImpl& from, std::uint32_t old_slot, const std::shared_ptr<SegmentImpl>& to,
                    std::uint32_t new_slot) noexcept;

/// Whether a record's life is `life`, which has moved.
inline bool has_moved(const Word& word, std::uint64_t life) noexcept {
    // ORDER(life): acquire; as still_lives
    return word.load(std::memory_order_acquire) == Life::pack(Life::generation_of(life), kMoved);
}

/// The name of a record of `life`, also after it has moved; empty if it serves another name by now.
std::optional<NameText> moved_name(const SegmentImpl& segment, Table table, std::uint32_t record,
                                   std::uint64_t life);

/// What the handle of a segment that was left stands for in `to`, made there if need be; none if there can be
/// none.
Limiter twin(const SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to,
             const Limiter& limiter) noexcept;
Gauge twin(const SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to, const Gauge& gauge) noexcept;

}  // namespace weir::shm
