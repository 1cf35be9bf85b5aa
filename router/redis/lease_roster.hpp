// The shared limits of a host, as its coordinator goes through them again and again.
//
// Those in use are awake, and looked at in every turn. There may be thousands of others, users who come once
// an hour: they sleep, are looked at in turn, and all of them when somebody waits.
//
// Thread safety: none. Pure: time comes in as an argument, and the segment through LeaseAccess.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "router/redis/lease_limit.hpp"
#include "shm/lease.hpp"

namespace weir::router {

/// What the host reads and sets in its segment, by the number of the limit.
class LeaseAccess {
 public:
    virtual shm::LeaseReading read(std::size_t limit, shm::Nanos now) = 0;
    /// LeaseReading::wanted alone.
    virtual std::uint64_t wanted(std::size_t limit) = 0;
    /// When it returns, nobody is admitted beyond `lease` any more.
    virtual void set_lease(std::size_t limit, shm::Units lease, shm::Nanos now) = 0;
    virtual void set_barren(std::size_t limit, shm::Nanos until) = 0;
    /// Leases have been raised: who waits for one may look again.
    virtual void raised() = 0;

 protected:
    ~LeaseAccess() = default;
};

/// A limit as the host is told of it.
struct LeaseSubject {
    std::size_t limit = 0;  ///< its number for LeaseAccess
    std::string key;
    shm::Nanos window{};
    bool fresh = false;  ///< see LeaseLimit
};

class LeaseRoster {
 public:
    struct Entry {
        LeaseSubject subject;
        LeaseLimit limit;
        bool told = false;      ///< in the registration that is under way
        shm::Nanos looked{};    ///< the latest observation
        bool presses = false;   ///< as of then …
        bool due = false;       ///< … and this
        bool awake = true;      // the roster's own, as the next
        std::size_t at = 0;     // in awake_ or asleep_
    };

    /// Requests wait for a lease up to `patience`. `access` must outlive it.
    LeaseRoster(LeaseAccess& access, shm::Nanos patience) noexcept : access_(access), patience_(patience) {}

    /// Its number must not be another's.
    void add(LeaseSubject subject);
    void remove(Entry& entry);

    /// Null if there is none of that number.
    Entry* find(std::size_t limit) noexcept;

    /// All there are, by number.
    std::unordered_map<std::size_t, Entry>& all() noexcept { return entries_; }
    const std::vector<Entry*>& awake() const noexcept { return awake_; }

    /// So few that there is no need to be sparing.
    bool few() const noexcept;

    /// As LeaseLimit::observe has it.
    void set_late(shm::Nanos late) noexcept { late_ = late; }

    /// A request has found too little: the next look is at every limit.
    void somebody_waits() noexcept { wanted_ = true; }

    /// Observes whatever may have changed, and wakes whoever has something to say. `hosts` share the limits.
    void look(shm::Nanos now, std::uint64_t hosts);
    void observe(Entry& entry, shm::Nanos now, std::uint64_t hosts);

    /// Also those who sleep, each observed anew.
    void wake_all(shm::Nanos now, std::uint64_t hosts);

    /// Those of whom nothing is to be expected, if there are many.
    void let_sleep(shm::Nanos now);

    /// When look() is next needed.
    shm::Nanos next_look(shm::Nanos now) const noexcept;

 private:
    void find_wanted(shm::Nanos now);
    void look_at_some_asleep(shm::Nanos now, std::uint64_t hosts);
    shm::Nanos next_search() const noexcept;
    void put(Entry& entry, bool awake);
    void take_out(Entry& entry) noexcept;

    LeaseAccess& access_;
    shm::Nanos patience_;
    shm::Nanos late_{};
    std::unordered_map<std::size_t, Entry> entries_;  // by the limit's number
    std::vector<Entry*> awake_;
    std::vector<Entry*> asleep_;
    std::size_t next_asleep_ = 0;
    shm::Nanos looked_{};
    bool wanted_ = false;  // by somebody who waits
    shm::Nanos searched_{};
};

}  // namespace weir::router
