#include "router/wait_room.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>

namespace weir::router {
namespace {

/// Served in one go, before other work of this process gets its turn.
constexpr unsigned kServedAtOnce = 256;

/// Between two tries of one request.
constexpr shm::Nanos kSoonest = std::chrono::microseconds(100);

/// After a try in vain, rings of other processes bring no other sooner: what they give back may be
/// nothing that anybody here waits for.
constexpr shm::Nanos kRungAtMost = std::chrono::milliseconds(1);

std::string line_name(const LaneName& lane) { return fmt::format("{}:{:x}", lane.name, lane.detail); }

}  // namespace

std::uint64_t LaneName::id() const noexcept {
    const std::hash<std::string_view> hash;
    return hash(name) * 31 + hash(kind) + detail * 0x9e37'79b9'7f4a'7c15;
}

WaitRoom::WaitRoom(asio::io_context& io, shm::Segment& segment, shm::Participant& participant,
                   std::size_t depth_max, shm::Nanos look_again)
    : look_again_(look_again),
      segment_(segment),
      io_(io),
      timer_(io),
      list_(depth_max),
      lines_(segment, participant),
      doorbell_(io, lines_.segment_name(), lines_.slot(), [this] { rung(); }) {}

WaitRoom::~WaitRoom() { *self_ = nullptr; }

bool WaitRoom::has_ahead(const LaneName& lane, std::uint8_t priority, shm::Nanos now) {
    if (list_.size() != 0 && list_.has_ahead(lane.id(), priority)) return true;
    return lines_.others_wait() && !lines_.is_first(find_line(lane), {priority, now}, now);
}

Task<WaitRoom::End> WaitRoom::wait(Guest& guest, Stay stay) {
    const shm::Nanos now = shm::now();
    const shm::Nanos look_at = std::min<shm::Nanos>(stay.ready_at, now + look_again_);
    const auto id = list_.add({stay.lane.id(), stay.priority, look_at, stay.deadline, stay.owner});
    if (!id) co_return End::full;
    if (list_.size() == 1) {
        lines_.begin(now);
        doorbell_.listen();
    }
    guest.seat_ = *id;
    Seat seat{guest, Timer(io_), *id, 0, {stay.priority, now}, End::left};
    seats_.emplace(*id, &seat);
    sit_down(seat, stay.lane);
    // It was refused before anybody knew to wake it: what came back since, it has to see for itself.
    if (list_.head(seat.lane) == *id) list_.wake(seat.lane, now);
    seat.timer.expires_at(Timer::time_point::max());
    arm();
    co_await seat.timer.async_wait(kAwait);
    co_return seat.end;
}

void WaitRoom::leave(Guest& guest) noexcept {
    if (guest.seat_ != 0) finish(guest.seat_, End::left);
}

void WaitRoom::capacity_returned() {
    if (list_.size() != 0) {
        list_.wake_all(shm::now());
        arm();
    }
    if (lines_.others_wait()) ring(lines_.woken_by_capacity());
}

void WaitRoom::rung() {
    if (list_.size() == 0) return;
    list_.wake_all(std::max<shm::Nanos>(shm::now(), refused_at_ + kRungAtMost));
    arm();
}

/// One timer for all: it runs out when the list has something new to say.
void WaitRoom::arm() {
    const shm::Nanos next = list_.next_event();
    if (next == armed_for_) return;
    armed_for_ = next;
    if (next == WaitList::kNever) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(Timer::time_point(next));  // steady_clock is CLOCK_MONOTONIC
    timer_.async_wait([self = self_](ErrorCode error) {
        if (!error && *self) (*self)->pump();
    });
}

void WaitRoom::pump() {
    armed_for_ = WaitList::kNever;
    if (list_.size() == 0) return;
    shm::Nanos now = shm::now();
    lines_.look(now);
    while (const auto late = list_.expired(now)) finish(*late, End::deadline);
    for (unsigned i = 0; i < kServedAtOnce; ++i) {
        const auto first = list_.next(now);
        if (!first) break;
        serve(*first, now);
        now = shm::now();
    }
    const auto is_first = [](const auto& lane) { return lane.second.first; };
    if (std::none_of(lanes_.begin(), lanes_.end(), is_first)) lines_.step_back();
    arm();
}

/// The first of its lane tries, if no other process has one that goes before it.
void WaitRoom::serve(WaitList::Id id, shm::Nanos now) {
    Seat& seat = *seats_.at(id);
    Lane& own = lanes_.at(seat.lane);
    own.first = lines_.is_first(own.line, seat.place, now);
    if (!own.first) {
        list_.postpone(id, now + look_again_, seat.lane);
        return;
    }
    LaneName lane;
    shm::Nanos ready_at{};
    switch (seat.guest.take(now, lane, ready_at)) {
        case Guest::Taken::yes: return finish(id, End::placed);
        case Guest::Taken::never: return finish(id, End::never);
        case Guest::Taken::no: break;
    }
    // Somebody was faster, or another obstacle came up.
    refused_at_ = now;
    const std::uint64_t before = seat.lane;
    list_.postpone(id, std::clamp<shm::Nanos>(ready_at, now + kSoonest, now + look_again_), lane.id());
    if (lane.id() == before) return;
    stand_up(seat);
    sit_down(seat, lane);
    if (list_.head(seat.lane) == id) list_.wake(seat.lane, now + kSoonest);
}

/// Empty if nobody has ever waited for it.
shm::Line WaitRoom::find_line(const LaneName& name) {
    const auto known = known_lines_.find(name.id());
    if (known != known_lines_.end()) return known->second;
    const shm::Line line = segment_.find_line(name.kind, line_name(name));
    if (line) known_lines_.emplace(name.id(), line);
    return line;
}

/// The seat must be in the list already, in the lane of that name.
void WaitRoom::sit_down(Seat& seat, const LaneName& name) {
    seat.lane = name.id();
    Lane& lane = lanes_[seat.lane];
    if (lane.guests++ == 0) {
        try {
            lane.line = find_line(name);
            if (!lane.line) lane.line = segment_.line(name.kind, line_name(name));
        } catch (const std::runtime_error&) {
            // The segment has no room for it, or is broken: this process keeps its own order.
        }
    }
    tell_front(seat.lane, lane);
}

/// The seat must have left the lane in the list already.
void WaitRoom::stand_up(Seat& seat) noexcept {
    const auto at = lanes_.find(seat.lane);
    tell_front(at->first, at->second);
    if (--at->second.guests == 0) lanes_.erase(at);
}

/// Tells the other processes who is first here now; if that is somebody later than before, the turn may
/// have come to them.
void WaitRoom::tell_front(std::uint64_t id, Lane& lane) noexcept {
    const auto head = list_.head(id);
    const shm::Place place = head ? seats_.at(*head)->place : shm::Place();
    const std::uint64_t front = head ? place.packed() : 0;
    const std::uint64_t before = std::exchange(lane.front, front);
    if (front == before || !lane.line) return;
    if (head) {
        lines_.set_front(lane.line, place);
    } else {
        lines_.clear_front(lane.line);
    }
    const bool back = before != 0 && (front == 0 || front > before);
    if (back && lines_.others_wait()) ring(lines_.woken_by_turn(lane.line, shm::now()));
}

void WaitRoom::finish(WaitList::Id id, End end) noexcept {
    Seat& seat = *seats_.at(id);
    seat.end = end;
    seat.guest.seat_ = 0;
    list_.remove(id);
    stand_up(seat);
    seats_.erase(id);
    if (list_.size() == 0) {
        lines_.end();
        doorbell_.ignore();
    }
    seat.timer.cancel();  // resumes it
}

void WaitRoom::ring(const std::vector<std::uint32_t>& slots) noexcept {
    for (const std::uint32_t slot : slots) doorbell_.ring(slot);
}

}  // namespace weir::router
