// What the coordinating LeaseHost reads and sets, in the host's segment.
//
// A lease that is raised has an end that every process can see before anybody is admitted by it, wherever the
// coordinator is stopped or killed.
//
// Thread safety: none. Process safety: as LeaseBoard's.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "router/redis/lease_host.hpp"
#include "shm/lease.hpp"

namespace weir::router {

/// Tells every process of the host when its lease ends: at no time, if none runs.
void publish_guard(shm::LeaseBoard& board, const shm::LeaseContact& contact) noexcept;

/// The same, and how the contact stands.
void publish_contact(shm::LeaseBoard& board, const shm::LeaseContact& contact) noexcept;

class SegmentLeases final : public LeaseAccess {
 public:
    /// `board` must outlive it.
    explicit SegmentLeases(shm::LeaseBoard& board) : board_(board), watch_(board) {}

    /// Whose contact goes before the leases that it raises; it must stay. To be called before the host works.
    void serve(const LeaseHost& host) noexcept { contact_ = &host.contact(); }

    /// Tells `host` of the limits that have come and gone. Only between two beats, for an answer goes by the
    /// numbers of its beat.
    void look_for_limits(LeaseHost& host);

    /// Whether leases have been raised since the last call, or requests are to look again for another reason.
    bool take_raised() noexcept { return std::exchange(raised_, false); }

    shm::LeaseReading read(std::size_t limit, shm::Nanos now) override;
    std::uint64_t wanted(std::size_t limit) override;
    void set_lease(std::size_t limit, shm::Units lease, shm::Nanos now) override;
    void set_barren(std::size_t limit, shm::Nanos until) override;
    void raised() override { raised_ = true; }

 private:
    shm::LeaseBoard& board_;
    const shm::LeaseContact* contact_ = nullptr;
    shm::LimitWatch watch_;
    std::unordered_map<std::size_t, shm::SharedLimit> limits_;  // by place
    bool looked_ = false;
    bool raised_ = false;
};

}  // namespace weir::router
