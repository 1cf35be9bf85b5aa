#include "router/redis/segment_leases.hpp"

#include <fmt/format.h>

#include <string>

namespace weir::router {
namespace {

/// A limit's name in the store. Lengths come first, for names may hold anything.
std::string key_of(const shm::SharedLimit& limit) {
    return fmt::format("{}:{}:{}:{}:{}:{}", limit.scope.size(), limit.scope, limit.name.size(), limit.name,
                       static_cast<unsigned>(limit.unit), limit.window / std::chrono::milliseconds(1));
}

}  // namespace

void publish_guard(shm::LeaseBoard& board, const shm::LeaseContact& contact) noexcept {
    board.set_guard(contact.mode == shm::LeaseMode::shared ? contact.until : shm::Nanos(0));
}

void publish_contact(shm::LeaseBoard& board, const shm::LeaseContact& contact) noexcept {
    board.set_contact(contact);
    publish_guard(board, contact);
}

void SegmentLeases::look_for_limits(LeaseHost& host) {
    for (shm::LimitWatch::Change& change : watch_.look()) {
        if (!change.limit) {
            host.remove(change.place);
            limits_.erase(change.place);
            continue;
        }
        const shm::SharedLimit& limit = limits_[change.place] = std::move(*change.limit);
        // A limit that turns up later than at the first look has just been made.
        host.add({change.place, key_of(limit), limit.window, looked_});
    }
    looked_ = true;
}

shm::LeaseReading SegmentLeases::read(std::size_t limit, shm::Nanos now) {
    return board_.read(limits_.at(limit), now);
}

std::uint64_t SegmentLeases::wanted(std::size_t limit) {
    return board_.wanted(limits_.at(limit));
}

void SegmentLeases::set_lease(std::size_t limit, shm::Units lease, shm::Nanos now) {
    // Whoever comes across the new lease finds its end. Without contact it is the other way round: the end
    // of the old lease stays until all have been lowered, and is a task for others should we not come to it.
    if (contact_->mode == shm::LeaseMode::shared) publish_contact(board_, *contact_);
    if (lease > board_.read(limits_.at(limit), now).lease) raised_ = true;
    board_.set_lease(limits_.at(limit), lease, now);
}

void SegmentLeases::set_barren(std::size_t limit, shm::Nanos until) {
    board_.set_barren(limits_.at(limit), until);
}

}  // namespace weir::router
