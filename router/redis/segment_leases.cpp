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

bool SegmentLeases::look_for_limits() {
    const std::uint64_t version = board_.version();
    if (looks_ != 0 && version == version_) return false;
    version_ = version;
    limits_ = board_.limits();
    looks_ = looks_ == 0 ? 1 : 2;
    return true;
}

std::vector<LeaseSubject> SegmentLeases::subjects() const {
    // A limit that turns up later than at the first look has just been made.
    const bool fresh = looks_ > 1;
    std::vector<LeaseSubject> subjects;
    for (std::size_t i = 0; i < limits_.size(); ++i) {
        subjects.push_back({i, key_of(limits_[i]), limits_[i].window, fresh});
    }
    return subjects;
}

shm::LeaseReading SegmentLeases::read(std::size_t limit, shm::Nanos now) {
    return board_.read(limits_[limit], now);
}

void SegmentLeases::set_lease(std::size_t limit, shm::Units lease, shm::Nanos now) {
    // Whoever comes across the new lease finds its end. Without contact it is the other way round: the end
    // of the old lease stays until all have been lowered, and is a task for others should we not come to it.
    if (contact_->mode == shm::LeaseMode::shared) publish_contact(board_, *contact_);
    if (lease > board_.read(limits_[limit], now).lease) raised_ = true;
    board_.set_lease(limits_[limit], lease, now);
}

void SegmentLeases::set_barren(std::size_t limit, shm::Nanos until) {
    board_.set_barren(limits_[limit], until);
}

}  // namespace weir::router
