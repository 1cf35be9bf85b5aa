// Where requests wait for capacity instead of being refused: performs what the WaitList decides within
// this process, and keeps the order of the waiting lines that all processes share (shm/line.hpp).
//
// Nothing polls: who comes first of all is woken at the exact time at which its refusal said that it
// would pass, or when a request of any process gives something back; the others, when the turn has come
// to them. In case a ring has got lost, because its sender was killed or has no way to this process, the
// first of each lane looks again every kLookAgain.
//
// Thread safety: none; it belongs to the thread of its io_context.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/doorbell.hpp"
#include "router/net.hpp"
#include "router/wait_list.hpp"
#include "shm/lines.hpp"
#include "shm/participant.hpp"
#include "shm/segment.hpp"

namespace weir::router {

/// What is full: the queue in front of it is a lane, and a line of all processes. The same in every
/// process.
struct LaneName {
    std::string_view kind;  ///< "group", or what kind of a caller's limit
    std::string_view name;
    std::uint64_t detail = 0;  ///< tells apart lanes of one kind and name

    std::uint64_t id() const noexcept;
};

/// A request that waits.
class Guest {
 public:
    enum class Taken : std::uint8_t { yes, no, never };

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

    /// All must outlive it. At most `depth_max` wait at once. `look_again`: unless nobody could miss a ring.
    WaitRoom(asio::io_context& io, shm::Segment& segment, shm::Participant& participant,
             std::size_t depth_max, shm::Nanos look_again = kLookAgain);
    ~WaitRoom();
    WaitRoom(const WaitRoom&) = delete;
    WaitRoom& operator=(const WaitRoom&) = delete;

    /// How many wait in this process.
    std::size_t size() const noexcept { return list_.size(); }
    std::size_t waiting(std::uint64_t owner) const noexcept { return list_.waiting(owner); }

    /// Whether anybody waits for anything, in any process.
    bool in_use() const noexcept { return list_.size() != 0 || lines_.others_wait(); }

    /// Whether somebody waits in `lane`, in any process, whom a newcomer of `priority` must not overtake.
    bool has_ahead(const LaneName& lane, std::uint8_t priority, shm::Nanos now);

    enum class End : std::uint8_t {
        placed,
        never,     ///< it has turned out that waiting does not help
        deadline,  ///< given up
        full,      ///< too many wait already, or too many of its owner: it did not wait at all
        left,      ///< by leave()
    };
    struct Stay {
        LaneName lane;
        std::uint8_t priority = 0;  ///< lower first
        shm::Nanos ready_at{};      ///< not worth a try before
        shm::Nanos deadline{};
        std::uint64_t owner = 0;  ///< whose part of the queue it takes; 0: the operator
    };
    /// `guest` must stay until it ends.
    Task<End> wait(Guest& guest, Stay stay);

    /// For a guest whose client has gone; it may not be there.
    void leave(Guest& guest) noexcept;

    /// A request has given something back: whoever is first may look again, in this process or another.
    void capacity_returned();

 private:
    struct Lane {
        shm::Line line;       // empty: there was no room for one, so this process keeps its own order
        std::uint64_t front = 0;  // as told to the others; 0: nobody
        bool first = false;   // nobody in another process goes before the first of this one
        std::uint32_t guests = 0;
    };
    struct Seat {
        Guest& guest;
        Timer timer;
        WaitList::Id id = 0;
        std::uint64_t lane = 0;
        shm::Place place;
        End end = End::left;
    };

    void pump();
    void arm();
    void serve(WaitList::Id id, shm::Nanos now);
    void rung();
    shm::Line find_line(const LaneName& name);
    void sit_down(Seat& seat, const LaneName& name);
    void stand_up(Seat& seat) noexcept;
    void tell_front(std::uint64_t id, Lane& lane) noexcept;
    void finish(WaitList::Id id, End end) noexcept;
    void ring(const std::vector<std::uint32_t>& slots) noexcept;

    const shm::Nanos look_again_;
    shm::Segment& segment_;
    asio::io_context& io_;
    Timer timer_;
    shm::Nanos armed_for_ = WaitList::kNever;
    shm::Nanos refused_at_{};  // when somebody last tried in vain
    WaitList list_;
    std::unordered_map<WaitList::Id, Seat*> seats_;
    std::unordered_map<std::uint64_t, Lane> lanes_;
    std::unordered_map<std::uint64_t, shm::Line> known_lines_;  // by the lane's id
    shm::Lines lines_;
    Doorbell doorbell_;
    std::shared_ptr<WaitRoom*> self_ = std::make_shared<WaitRoom*>(this);  // null once it is gone
};

}  // namespace weir::router
