// What the coordinating LeaseHost reads and sets, in the host's segment.
//
// A lease that is raised has an end that every process can see before anybody is admitted by it, wherever the
// coordinator is stopped or killed.
//
// Thread safety: none. Process safety: as LeaseBoard's.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

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
    explicit SegmentLeases(shm::LeaseBoard& board) noexcept : board_(board) {}

    /// Whose contact goes before the leases that it raises; it must stay. To be called before the host works.
    void serve(const LeaseHost& host) noexcept { contact_ = &host.contact(); }

    /// Reads which limits there are; false if they are still the same. Only between two beats, for an answer
    /// goes by the numbers of its beat.
    bool look_for_limits();

    /// The limits that were found, as the host is told of them.
    std::vector<LeaseSubject> subjects() const;

    /// Whether leases have been raised since the last call, or requests are to look again for another reason.
    bool take_raised() noexcept { return std::exchange(raised_, false); }

    shm::LeaseReading read(std::size_t limit, shm::Nanos now) override;
    void set_lease(std::size_t limit, shm::Units lease, shm::Nanos now) override;
    void set_barren(std::size_t limit, shm::Nanos until) override;
    void raised() override { raised_ = true; }

 private:
    shm::LeaseBoard& board_;
    const shm::LeaseContact* contact_ = nullptr;
    std::vector<shm::SharedLimit> limits_;
    std::uint64_t version_ = 0;  // of the board, as of limits_
    unsigned looks_ = 0;         // that found other limits: 0, 1, or more
    bool raised_ = false;
};

}  // namespace weir::router
