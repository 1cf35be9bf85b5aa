#include "router/redis/lease_watch.hpp"

#include <algorithm>

#include "router/redis/lease_host.hpp"
#include "router/redis/segment_leases.hpp"

namespace weir::router {

std::uint64_t LeaseWatch::hosts(const shm::LeaseContact& contact) const noexcept {
    return std::max(rules_.hosts_expected, contact.hosts);
}

bool LeaseWatch::fall_back(shm::Nanos now) {
    const shm::LeaseContact contact = board_.contact();
    if (contact.mode == shm::LeaseMode::shared && now >= contact.until) lose_contact(contact, now);
    publish_guard(board_, board_.contact());
    return true;
}

/// The end of the lease stays in sight until every part of it has been lowered: whoever decides meanwhile
/// does the same first, and so does somebody if this process comes no further.
void LeaseWatch::lose_contact(const shm::LeaseContact& contact, shm::Nanos now) {
    for (const shm::SharedLimit& limit : board_.limits()) {
        const shm::LeaseReading reading = board_.read(limit, now);
        const shm::Units lease =
            lease_without_contact(rules_.fail_mode, reading.lease, reading.full, hosts(contact), false);
        board_.lower_lease(limit, lease, now);
    }
    // Unless a coordinator has been faster, and has a new lease.
    if (board_.contact().until == contact.until) board_.set_mode(mode_without_contact(rules_.fail_mode));
}

/// A beat that has not been answered may have been executed: it is as if its lease had been granted. Where
/// the coordinator still sends, this moves on with each beat.
void LeaseWatch::reckon(const shm::LeaseContact& contact) noexcept {
    if (lost_at_ >= contact.until && contact.sent == sent_) return;
    sent_ = contact.sent;
    lost_at_ = contact.until;
    if (contact.sent != contact.sequence) lost_at_ = std::max(lost_at_, contact.seen + rules_.lease);
}

bool LeaseWatch::look(shm::Nanos now) {
    const shm::LeaseContact contact = board_.contact();
    reckon(contact);
    // As long as the answer to a beat would be believed: what the beat says of this host is not to be outrun.
    if (contact.seen == shm::Nanos(0) || now < contact.seen + rules_.lease) return false;
    if (contact.mode == shm::LeaseMode::shared) return false;  // by a lease that lasts
    if (contact.mode == shm::LeaseMode::local) lose_contact(contact, now);  // there has been none yet
    bool raised = false;
    for (const shm::SharedLimit& limit : board_.limits()) {
        const bool due = share_is_due(contact, lost_at_, limit.window, rules_.lease, now);
        const shm::LeaseReading reading = board_.read(limit, now);
        const shm::Units lease =
            lease_without_contact(rules_.fail_mode, reading.lease, reading.full, hosts(contact), due);
        if (lease <= reading.lease) continue;
        if (board_.contact().seen != contact.seen) break;  // the coordinator is back
        raised = board_.set_lease(limit, lease, now) || raised;
    }
    return raised;
}

}  // namespace weir::router
