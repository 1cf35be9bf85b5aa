// Where requests wait for capacity instead of being refused: performs what the WaitList decides
// within this process, and takes turns with other processes (turn.hpp).
//
// Nothing polls but the first of each lane, and that seldom: it is woken at the exact time at which
// its refusal said that it would pass, or when a request of this process gives something back. What
// other processes give back early nobody tells us; therefore it looks again every kLookAgain.
//
// Thread safety: none; it belongs to the thread of its io_context.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>

#include "router/net.hpp"
#include "router/turn.hpp"
#include "router/wait_list.hpp"
#include "shm/participant.hpp"
#include "shm/segment.hpp"

namespace weir::router {

/// What is full: the queue in front of it is a lane. The same in every process by its texts.
struct LaneName {
    std::string_view kind;  ///< "group", or a caller's limit; empty: of this process alone
    std::string_view name;
    std::uint64_t detail = 0;  ///< tells apart lanes of one kind and name

    std::uint64_t id() const noexcept;
};

/// A request that waits.
class Guest {
 public:
    enum class Taken : std::uint8_t { yes, no, never };

    /// When it would find room if nobody came before it; not after `now`: at once, or nobody knows.
    virtual shm::Nanos ready_at(shm::Nanos now) = 0;

    /// How many like it would find room at `now`.
    virtual std::uint64_t room(shm::Nanos now) = 0;

    /// Takes its place. If there is none: which lane it has to wait in, and until when.
    virtual Taken take(shm::Nanos now, LaneName& lane, shm::Nanos& ready_at) = 0;

 protected:
    Guest() = default;
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    virtual ~Guest() = default;

 private:
    friend class WaitRoom;
    WaitList::Id seat_ = 0;  // 0: it does not wait
};

class WaitRoom {
 public:
    static constexpr std::chrono::milliseconds kLookAgain{50};

    /// All must outlive it. At most `depth_max` wait at once.
    WaitRoom(asio::io_context& io, shm::Segment& segment, shm::Participant& participant,
             std::mt19937_64& random, std::size_t depth_max);
    ~WaitRoom();
    WaitRoom(const WaitRoom&) = delete;
    WaitRoom& operator=(const WaitRoom&) = delete;

    /// How many wait in this process.
    std::size_t size() const noexcept { return list_.size(); }

    /// Whether somebody waits in `lane` whom a newcomer of `priority` must not overtake.
    bool has_ahead(const LaneName& lane, std::uint8_t priority) const {
        return list_.size() != 0 && list_.has_ahead(lane.id(), priority);
    }

    enum class End : std::uint8_t {
        placed,
        never,     ///< it has turned out that waiting does not help
        deadline,  ///< given up
        full,      ///< too many wait already: it did not wait at all
        left,      ///< by leave()
    };
    struct Stay {
        LaneName lane;
        std::uint8_t priority = 0;  ///< lower first
        shm::Nanos ready_at{};      ///< not worth a try before
        shm::Nanos deadline{};
    };
    /// `guest` must stay until it ends.
    Task<End> wait(Guest& guest, Stay stay);

    /// For a guest whose client has gone; it may not be there.
    void leave(Guest& guest) noexcept;

    /// A request has given something back: whoever is first may look again.
    void capacity_returned();

 private:
    /// One lane's standing among the processes.
    struct Lane {
        std::array<shm::Gauge, kBands> gauges;  // those who wait, of all processes that claim a part
        std::array<std::uint32_t, kBands> own{};
        std::uint64_t turns = 0;  // that are left of the latest sharing, among those of `band`
        std::size_t band = 0;
        bool had_turn = false;    // those turns have been used up
        bool claims = true;       // or else it stands back, until `back_at`
        shm::Nanos back_at{};
        unsigned stood_back = 0;  // in a row, without a turn
        std::uint32_t guests = 0;
    };
    struct Seat {
        Guest& guest;
        Timer timer;
        WaitList::Id id = 0;
        std::uint64_t lane = 0;
        std::size_t band = 0;
        shm::Ticket claim;  // in its lane's gauge
        End end = End::left;
    };

    void pump();
    void arm();
    void serve(WaitList::Id id, shm::Nanos now);
    bool may_take(Seat& seat, Lane& lane, shm::Nanos now);
    bool stand_back(const Seat& seat, Lane& lane, shm::Nanos now);
    void come_back(std::uint64_t id, Lane& lane);
    void claim(Seat& seat, const Lane& lane);
    Crowd crowd_of(const Lane& lane, const Seat& seat, shm::Nanos now) const;
    void sit_down(Seat& seat, const LaneName& name);
    void stand_up(Seat& seat) noexcept;
    void finish(WaitList::Id id, End end) noexcept;

    shm::Segment& segment_;
    shm::Participant& participant_;
    std::mt19937_64& random_;
    asio::io_context& io_;
    Timer timer_;
    shm::Nanos armed_for_ = WaitList::kNever;
    WaitList list_;
    std::unordered_map<WaitList::Id, Seat*> seats_;
    std::unordered_map<std::uint64_t, Lane> lanes_;
    std::shared_ptr<WaitRoom*> self_ = std::make_shared<WaitRoom*>(this);  // null once it is gone
};

}  // namespace weir::router
