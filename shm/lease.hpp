// Limits that several hosts share: what this host has of each, and how the coordination stands.
//
// A shared limiter's own limit is this host's *lease*, a part of the whole that changes while it runs.
// Decisions know nothing of it. One process of the host, the coordinator, talks to the others and sets the
// leases; docs/design/cross-host.md has the protocol.
//
// Thread safety: a LeaseBoard belongs to one thread; the functions, any. Process safety: as stated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/clock.hpp"
#include "shm/limiter.hpp"
#include "shm/segment.hpp"

namespace weir::shm {

class SegmentImpl;
class Word;          // shm/word.hpp
struct LeaseWords;  // shm/layout.hpp

/// When a shared limit may allow more is up to the other hosts: a refusal names this time then.
inline constexpr Nanos kLeaseRetry = std::chrono::seconds(1);

/// By what the limits hold.
enum class LeaseMode : std::uint8_t {
    local,   ///< this host alone
    shared,  ///< leases
    share,   ///< no contact: each host keeps to its share of the limit
    closed,  ///< no contact: nothing is admitted
    open,    ///< no contact: each host takes the whole limit
};

/// "local", "shared", "share", "closed", "open".
std::string_view to_string(LeaseMode mode) noexcept;

/// This host's contact with the others.
struct LeaseContact {
    LeaseMode mode = LeaseMode::local;
    Nanos until{};                  ///< end of the lease; 0: there has never been one
    Nanos answered{};               ///< when the last exchange that was answered began; 0: never
    std::uint64_t incarnation = 0;  ///< of the store's data; 0: unknown
    std::uint64_t sequence = 0;     ///< of the last exchange that was answered
    std::uint64_t sent = 0;         ///< of the last one that was begun
    std::uint64_t hosts = 0;        ///< live ones, as the store counts them
    Nanos seen{};                   ///< when a coordinator was last at work; 0: never
};

/// A shared limit: a window limiter, or a gauge of what is in flight.
struct SharedLimit {
    std::string scope;
    std::string name;
    Unit unit = Unit::requests;
    Nanos window{};  ///< 0: in flight
    Limiter limiter;
    Gauge gauge;  ///< if `window` is 0
};

/// What a shared limit holds at one moment.
struct LeaseReading {
    Units full = 0;              ///< 0: it is gone, or shared no more
    Units lease = 0;             ///< what this host may use
    Units used = 0;              ///< what it does use
    std::uint64_t charged = 0;   ///< ever growing, modulo 2^40; windows only
    std::uint64_t wanted = 0;    ///< ever growing: units that requests have found missing
    std::uint64_t relieved = 0;  ///< ever growing: of them, those that nobody waits for any more
};

class LeaseBoard {
 public:
    /// Keeps the segment's mapping.
    explicit LeaseBoard(const Segment& segment);
    ~LeaseBoard();  ///< a coordinator's place becomes free
    LeaseBoard(const LeaseBoard&) = delete;
    LeaseBoard& operator=(const LeaseBoard&) = delete;

    /// Becomes the coordinator unless another opening of the segment is. A dead one's place is free.
    bool lead() noexcept;

    /// This host's number: `proposed` (not 0) unless it has one already.
    std::uint64_t host(std::uint64_t proposed) noexcept;

    LeaseContact contact() const noexcept;
    /// Coordinator only.
    void set_contact(const LeaseContact& contact) noexcept;

    LeaseMode mode() const noexcept;
    void set_mode(LeaseMode mode) noexcept;

    /// The end of the running lease; 0: none runs. Who finds it past must not admit by leases any more.
    Nanos guard() const noexcept;
    void set_guard(Nanos until) noexcept;

    std::vector<SharedLimit> limits() const;

    LeaseReading read(const SharedLimit& limit, Nanos now) const noexcept;

    /// LeaseReading::wanted alone; 0 if it is gone. Cheap.
    std::uint64_t wanted(const SharedLimit& limit) const noexcept;

    /// Sets this host's part. When it returns, nobody is admitted beyond it any more. False if the limit is
    /// gone, or shared no more.
    bool set_lease(const SharedLimit& limit, Units lease, Nanos now) noexcept;

    /// Takes back what this host holds beyond `lease`. As set_lease, but for any process: it never raises,
    /// whatever the coordinator does meanwhile.
    void lower_lease(const SharedLimit& limit, Units lease, Nanos now) noexcept;

    /// Says that until then asking for more is in vain.
    void set_barren(const SharedLimit& limit, Nanos until) noexcept;

    /// Counts raised leases: who waits for one looks again when it has changed.
    std::uint64_t grants() const noexcept;
    void count_grant() noexcept;

 private:
    friend class LimitWatch;
    std::shared_ptr<SegmentImpl> segment_;
    bool leads_ = false;
};

/// Follows which shared limits there are. A limit's place is its number for as long as it lives.
class LimitWatch {
 public:
    /// Of the board's segment, whose mapping it keeps.
    explicit LimitWatch(const LeaseBoard& board);

    struct Change {
        std::size_t place;
        std::optional<SharedLimit> limit;  ///< that has come; empty: the one that was there has gone
    };

    /// What has changed since the last call, in order; at the first, all that there are have come. Costs a
    /// load when nothing has, and otherwise one for each limit.
    std::vector<Change> look();

 private:
    std::shared_ptr<SegmentImpl> segment_;
    std::uint64_t version_ = 0;
    bool looked_ = false;
    std::vector<std::uint64_t> known_;  // by place: the handle's generation; 0: none
};

/// A shared limit that had no room for a request: where it says so, and whether waiting is worth while.
class Shortage {
 public:
    Shortage() noexcept = default;
    /// Of `units` under `limiter` or in `gauge`.
    Shortage(Limiter limiter, Units units) noexcept;
    explicit Shortage(Gauge gauge) noexcept;

    /// Whether hosts share the limit, and it could hold that much.
    explicit operator bool() const noexcept { return words_ != nullptr; }

    /// Whether asking the other hosts has just been in vain, or would be: this host has all of it.
    bool barren(Nanos now) const noexcept;

    /// A request begins to wait, or is turned away; and ceases to. Each want() must be relieved.
    void want() const noexcept;  ///< prefer Wanted
    void relieve() const noexcept;

 private:
    void set(LeaseWords& words, const Word& lease, Units units) noexcept;
    LeaseWords* words_ = nullptr;
    const Word* lease_ = nullptr;  // this host's part
    Units units_ = 0;
};

/// A request that wants what is short, for as long as this lives.
class Wanted {
 public:
    explicit Wanted(const Shortage& shortage) noexcept : shortage_(shortage) { shortage_.want(); }
    ~Wanted() { shortage_.relieve(); }
    Wanted(const Wanted&) = delete;
    Wanted& operator=(const Wanted&) = delete;

 private:
    Shortage shortage_;
};

// Internal to shm/: changes this host's part so that nobody is admitted by the old one afterwards. False if
// the handle's life is over; nothing has changed then.
bool set_lease_words(Limiter limiter, Units lease, Nanos now) noexcept;
bool set_lease_words(Gauge gauge, Units lease) noexcept;
// The same, but never raises it, whoever else changes it meanwhile.
bool lower_lease_words(Limiter limiter, Units lease, Nanos now) noexcept;
bool lower_lease_words(Gauge gauge, Units lease) noexcept;

// Internal to shm/: makes it a limit that hosts share, of `full` over all of them, or with 0 this host's own.
void share(SegmentImpl& segment, Limiter limiter, Units full, Nanos now) noexcept;
void share(SegmentImpl& segment, Gauge gauge, Units full) noexcept;

}  // namespace weir::shm
