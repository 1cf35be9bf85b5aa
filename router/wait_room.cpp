#include "router/wait_room.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace weir::router {
namespace {

/// Served in one go, before other work of this process gets its turn.
constexpr unsigned kServedAtOnce = 256;

/// Between two tries of one request.
constexpr shm::Nanos kSoonest = std::chrono::microseconds(100);

std::string gauge_name(const LaneName& lane, std::size_t band) {
    return fmt::format("{}:{}:{}:{}", lane.kind, lane.name, lane.detail, band);
}

}  // namespace

std::uint64_t LaneName::id() const noexcept {
    const std::hash<std::string_view> hash;
    return hash(name) * 31 + hash(kind) + detail * 0x9e37'79b9'7f4a'7c15;
}

WaitRoom::WaitRoom(asio::io_context& io, shm::Segment& segment, shm::Participant& participant,
                   std::mt19937_64& random, std::size_t depth_max)
    : segment_(segment),
      participant_(participant),
      random_(random),
      io_(io),
      timer_(io),
      list_(depth_max) {}

WaitRoom::~WaitRoom() { *self_ = nullptr; }

Task<WaitRoom::End> WaitRoom::wait(Guest& guest, Stay stay) {
    const shm::Nanos look_at = std::min<shm::Nanos>(stay.ready_at, shm::now() + kLookAgain);
    const auto id = list_.add({stay.lane.id(), stay.priority, look_at, stay.deadline});
    if (!id) co_return End::full;
    guest.seat_ = *id;
    Seat seat{guest, Timer(io_), *id, 0, band_of(stay.priority), {}, End::left};
    sit_down(seat, stay.lane);
    seats_.emplace(*id, &seat);
    seat.timer.expires_at(Timer::time_point::max());
    arm();
    co_await seat.timer.async_wait(kAwait);
    co_return seat.end;
}

void WaitRoom::leave(Guest& guest) noexcept {
    if (guest.seat_ != 0) finish(guest.seat_, End::left);
}

void WaitRoom::capacity_returned() {
    if (list_.size() == 0) return;
    list_.wake_all(shm::now());
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
    shm::Nanos now = shm::now();
    while (const auto late = list_.expired(now)) finish(*late, End::deadline);
    for (unsigned i = 0; i < kServedAtOnce; ++i) {
        const auto first = list_.next(now);
        if (!first) break;
        serve(*first, now);
        now = shm::now();
    }
    armed_for_ = WaitList::kNever;
    arm();
}

void WaitRoom::serve(WaitList::Id id, shm::Nanos now) {
    Seat& seat = *seats_.at(id);
    if (!may_take(seat, lanes_.at(seat.lane), now)) return;
    LaneName lane;
    shm::Nanos ready_at{};
    switch (seat.guest.take(now, lane, ready_at)) {
        case Guest::Taken::yes: return finish(id, End::placed);
        case Guest::Taken::never: return finish(id, End::never);
        case Guest::Taken::no: break;
    }
    // Somebody was faster, or another obstacle came up.
    lanes_.at(seat.lane).turns = 0;
    list_.postpone(id, std::clamp<shm::Nanos>(ready_at, now + kSoonest, now + kLookAgain), lane.id());
    if (lane.id() == seat.lane) return;
    stand_up(seat);
    sit_down(seat, lane);
}

/// Whether it is this process's turn and the first of the lane may try. If not it is put off.
bool WaitRoom::may_take(Seat& seat, Lane& lane, shm::Nanos now) {
    if (now < lane.back_at) {
        list_.postpone(seat.id, lane.back_at, seat.lane);
        return false;
    }
    if (lane.turns == 0 || lane.band != seat.band) {
        const bool had_turn = std::exchange(lane.had_turn, false);
        const shm::Nanos ready_at = seat.guest.ready_at(now);
        if (ready_at > now) {
            list_.postpone(seat.id, std::min<shm::Nanos>(ready_at, now + kLookAgain), seat.lane);
            return false;
        }
        if (!lane.claims) come_back(seat.lane, lane);
        const Crowd crowd = crowd_of(lane, seat, now);
        const bool alone = crowd.all == crowd.own && crowd.urgent == 0;
        if (had_turn && !alone) return stand_back(seat, lane, now);
        lane.band = seat.band;
        lane.turns = turns(crowd, RandomSource(random_));
        if (lane.turns == 0) {
            ++lane.stood_back;
            return stand_back(seat, lane, now);
        }
    }
    --lane.turns;
    lane.had_turn = lane.turns == 0;
    lane.stood_back = 0;
    return true;
}

/// What is left is for others, who see by the claims that are left how it is to be shared.
bool WaitRoom::stand_back(const Seat& seat, Lane& lane, shm::Nanos now) {
    for (auto& [id, other] : seats_) {
        if (other->lane == seat.lane) other->claim.close();
    }
    lane.claims = false;
    lane.back_at = now + stand_back_time(RandomSource(random_));
    list_.postpone(seat.id, lane.back_at, seat.lane);
    return false;
}

void WaitRoom::come_back(std::uint64_t id, Lane& lane) {
    lane.claims = true;
    for (auto& [ignored, seat] : seats_) {
        if (seat->lane == id) claim(*seat, lane);
    }
}

void WaitRoom::claim(Seat& seat, const Lane& lane) {
    const shm::Gauge& gauge = lane.gauges[seat.band];
    if (gauge && lane.claims) seat.claim = participant_.admit({{}, {&gauge, 1}}, shm::now()).ticket;
}

Crowd WaitRoom::crowd_of(const Lane& lane, const Seat& seat, shm::Nanos now) const {
    Crowd crowd;
    crowd.own = lane.own[seat.band];
    crowd.all = std::max(crowd.own, participant_.in_flight(lane.gauges[seat.band]));
    for (std::size_t band = 0; band < seat.band; ++band) {
        const std::uint64_t everywhere = participant_.in_flight(lane.gauges[band]);
        crowd.urgent += everywhere - std::min<std::uint64_t>(everywhere, lane.own[band]);
    }
    crowd.stood_back = lane.stood_back;
    // Alone it need not count: each try says for itself whether there is room.
    const bool alone = crowd.all == crowd.own && crowd.urgent == 0;
    crowd.room = alone ? 1 : std::max<std::uint64_t>(seat.guest.room(now), 1);
    return crowd;
}

void WaitRoom::sit_down(Seat& seat, const LaneName& name) {
    seat.lane = name.id();
    const auto [at, made] = lanes_.try_emplace(seat.lane);
    Lane& lane = at->second;
    if (made && !name.kind.empty()) {
        try {
            for (std::size_t band = 0; band < kBands; ++band) {
                lane.gauges[band] = segment_.gauge("queue", gauge_name(name, band), 0);
            }
        } catch (const shm::DirectoryFull&) {
            lane.gauges = {};  // then processes take turns by chance
        }
    }
    ++lane.guests;
    ++lane.own[seat.band];
    claim(seat, lane);
}

void WaitRoom::stand_up(Seat& seat) noexcept {
    seat.claim.close();
    const auto at = lanes_.find(seat.lane);
    --at->second.own[seat.band];
    if (--at->second.guests == 0) lanes_.erase(at);
}

void WaitRoom::finish(WaitList::Id id, End end) noexcept {
    Seat& seat = *seats_.at(id);
    seat.end = end;
    seat.guest.seat_ = 0;
    stand_up(seat);
    list_.remove(id);
    seats_.erase(id);
    seat.timer.cancel();  // resumes it
}

}  // namespace weir::router
