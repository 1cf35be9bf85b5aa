#include "router/wait_list.hpp"

#include <algorithm>

namespace weir::router {

std::optional<WaitList::Id> WaitList::add(const Waiter& waiter) {
    if (waiters_.size() >= depth_max_) return std::nullopt;
    if (waiter.owner != 0 && waiting(waiter.owner) >= depth_max_ - waiters_.size()) return std::nullopt;
    const Id id = next_id_++;
    if (waiter.owner != 0) ++owners_[waiter.owner];
    waiters_.emplace(id, waiter);
    lanes_[waiter.lane].emplace(waiter.priority, id);
    deadlines_.emplace(waiter.deadline, id);
    return id;
}

std::size_t WaitList::waiting(std::uint64_t owner) const noexcept {
    const auto at = owners_.find(owner);
    return at == owners_.end() ? 0 : at->second;
}

bool WaitList::has_ahead(std::uint64_t lane, std::uint8_t priority) const {
    const auto at = lanes_.find(lane);
    return at != lanes_.end() && at->second.begin()->first <= priority;
}

std::optional<WaitList::Id> WaitList::head(std::uint64_t lane) const {
    const auto at = lanes_.find(lane);
    if (at == lanes_.end()) return std::nullopt;
    return at->second.begin()->second;
}

std::optional<WaitList::Id> WaitList::next(shm::Nanos now) const {
    std::optional<Place> best;
    for (const auto& [name, lane] : lanes_) {
        const Place& head = *lane.begin();
        if (waiters_.at(head.second).ready_at > now) continue;
        if (!best || head < *best) best = head;
    }
    if (!best) return std::nullopt;
    return best->second;
}

std::optional<WaitList::Id> WaitList::expired(shm::Nanos now) const {
    if (deadlines_.empty() || deadlines_.begin()->first > now) return std::nullopt;
    return deadlines_.begin()->second;
}

void WaitList::postpone(Id id, shm::Nanos ready_at, std::uint64_t lane) {
    const auto at = waiters_.find(id);
    if (at == waiters_.end()) return;
    Waiter& waiter = at->second;
    waiter.ready_at = ready_at;
    if (waiter.lane == lane) return;
    leave_lane(id, waiter);
    waiter.lane = lane;
    lanes_[lane].emplace(waiter.priority, id);
}

void WaitList::remove(Id id) {
    const auto at = waiters_.find(id);
    if (at == waiters_.end()) return;
    leave_lane(id, at->second);
    deadlines_.erase({at->second.deadline, id});
    if (const auto owner = owners_.find(at->second.owner); owner != owners_.end() && --owner->second == 0) {
        owners_.erase(owner);
    }
    waiters_.erase(at);
}

void WaitList::wake(std::uint64_t lane, shm::Nanos at) {
    const auto first = head(lane);
    if (!first) return;
    Waiter& waiter = waiters_.at(*first);
    waiter.ready_at = std::min(waiter.ready_at, at);
}

void WaitList::wake_all(shm::Nanos at) {
    for (const auto& [name, lane] : lanes_) wake(name, at);
}

shm::Nanos WaitList::next_event() const {
    shm::Nanos soonest = deadlines_.empty() ? kNever : deadlines_.begin()->first;
    for (const auto& [name, lane] : lanes_) {
        soonest = std::min(soonest, waiters_.at(lane.begin()->second).ready_at);
    }
    return soonest;
}

void WaitList::leave_lane(Id id, const Waiter& waiter) {
    const auto at = lanes_.find(waiter.lane);
    at->second.erase({waiter.priority, id});
    if (at->second.empty()) lanes_.erase(at);
}

}  // namespace weir::router
