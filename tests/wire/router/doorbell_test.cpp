// How one process's requests wake another's: the bell itself, and rooms that would wait for ever
// without it.
#include "router/doorbell.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "rig.hpp"
#include "router/wait_room.hpp"

namespace shm = weir::shm;
using namespace weir::router;
using namespace std::chrono_literals;
using shm::test::ScratchName;

namespace {

/// Runs until `done`. Throws when it takes too long, for then nobody was woken.
template <class Done>
void run_until(asio::io_context& io, Done&& done) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) throw std::runtime_error("nobody was woken");
        io.restart();
        io.run_one_for(10ms);
    }
}

/// One slot in flight, for which the guests of two rooms wait. Without a ring they would sleep for an hour.
struct House {
    static constexpr shm::Nanos kNever = 1h;

    struct Home {
        explicit Home(House& house)
            : participant(house.segment.join("home")),
              room(house.io, house.segment, participant, 100, kNever) {}
        shm::Participant participant;
        WaitRoom room;
    };

    /// Waits at once, and holds the slot when it has got it.
    class Visitor final : public Guest {
     public:
        Visitor(House& house, Home& home, std::uint8_t priority) : house_(house), home_(home) {
            const shm::Nanos late = shm::now() + kNever;
            asio::co_spawn(house.io.get_executor(),
                           home.room.wait(*this, WaitRoom::Stay{house.lane, priority, late, late}),
                           [this](std::exception_ptr, WaitRoom::End how) {
                               if (how == WaitRoom::End::placed) house_.placed.push_back(this);
                           });
        }
        void go() {
            ticket_.close();
            home_.room.capacity_returned();
        }
        void leave() { home_.room.leave(*this); }

     private:
        Taken take(shm::Nanos now, LaneName& lane, shm::Nanos& ready_at) override {
            auto admission = home_.participant.admit({{}, {&house_.slot, 1}}, now);
            lane = house_.lane;
            ready_at = now + kNever;
            if (!admission.admitted()) return Taken::no;
            ticket_ = std::move(admission.ticket);
            return Taken::yes;
        }

        House& house_;
        Home& home_;
        shm::Ticket ticket_;
    };

    /// Waits until `visitor` has taken the slot as the `count`-th.
    void expect(std::size_t count, const Visitor& visitor) {
        run_until(io, [&] { return placed.size() >= count; });
        CHECK(placed.size() == count);
        CHECK(placed.back() == &visitor);
    }
    void settle(const Home& home, std::size_t waiting) {
        run_until(io, [&] { return home.room.size() == waiting; });
    }

    asio::io_context io{1};
    ScratchName scratch;
    shm::Segment segment = shm::Segment::open(scratch.options());
    const shm::Gauge slot = segment.gauge("test", "slot", 1);
    const LaneName lane{"group", "g", 0};
    std::vector<const Visitor*> placed;
    Home a{*this};
    Home b{*this};
};

}  // namespace

TEST_CASE("a bell rings at the number that is meant, in its house only, as often as it is pulled or less") {
    asio::io_context io{1};
    int ones = 0;
    int twos = 0;
    int others = 0;
    Doorbell one(io, "test-house/1", 1, [&] { ++ones; });
    Doorbell two(io, "test-house/1", 2, [&] { ++twos; });
    Doorbell other(io, "test-house/2", 2, [&] { ++others; });
    for (Doorbell* bell : {&one, &two, &other}) bell->listen();
    one.ring(2);
    one.ring(2);
    one.ring(7);  // nobody lives there
    run_until(io, [&] { return twos > 0; });
    CHECK(twos <= 2);
    two.ring(1);
    run_until(io, [&] { return ones > 0; });
    CHECK(others == 0);
}

TEST_CASE("a bell that is not listened to keeps nothing running, and what has come is heard later") {
    asio::io_context io{1};
    int rings = 0;
    Doorbell bell(io, "test-house/3", 1, [&] { ++rings; });
    Doorbell sender(io, "test-house/3", 2, [] {});
    sender.ring(1);
    CHECK(io.run_for(10s) == 0);  // out of work at once
    bell.listen();
    run_until(io, [&] { return rings == 1; });
    bell.ignore();
    bell.listen();
    sender.ring(1);
    run_until(io, [&] { return rings == 2; });
    bell.ignore();
    io.restart();
    io.run_for(10s);
    CHECK(io.stopped());
    CHECK(rings == 2);
}

TEST_CASE("an address that is taken already makes a bell deaf, and no worse") {
    asio::io_context io{1};
    int rings = 0;
    Doorbell bell(io, "test-house/4", 1, [&] { ++rings; });
    Doorbell deaf(io, "test-house/4", 1, [] {});
    deaf.listen();
    bell.listen();
    deaf.ring(1);
    run_until(io, [&] { return rings == 1; });
}

TEST_CASE_METHOD(House, "who gives capacity back wakes the first, in whatever process it waits") {
    Visitor first(*this, a, 128);
    expect(1, first);
    Visitor second(*this, b, 128);
    settle(b, 1);
    first.go();
    expect(2, second);
    second.go();
}

TEST_CASE_METHOD(House, "the turn goes on from process to process, in order of priority and arrival") {
    Visitor holder(*this, a, 128);
    expect(1, holder);
    std::vector<std::unique_ptr<Visitor>> waiting;  // to and fro
    for (const std::uint8_t priority : std::array<std::uint8_t, 8>{200, 200, 7, 7, 100, 100, 7, 200}) {
        Home& home = waiting.size() % 2 == 0 ? a : b;
        const std::size_t before = home.room.size();
        waiting.push_back(std::make_unique<Visitor>(*this, home, priority));
        settle(home, before + 1);
        const auto end = std::chrono::steady_clock::now() + 2 * shm::kArrivalSlack;
        run_until(io, [&] { return std::chrono::steady_clock::now() > end; });
    }
    holder.go();
    std::size_t count = 1;
    for (const std::size_t index : {2u, 3u, 6u, 4u, 5u, 0u, 1u, 7u}) {
        INFO(index);
        expect(++count, *waiting[index]);
        waiting[index]->go();
    }
}

TEST_CASE_METHOD(House, "who leaves the front lets the next one try") {
    Visitor holder(*this, a, 128);
    expect(1, holder);
    Visitor first(*this, a, 1);
    settle(a, 1);
    Visitor second(*this, b, 128);
    settle(b, 1);
    // Nobody is told of this slot; the second only of its turn.
    const shm::Gauge more = segment.gauge("test", "slot", 2);
    CHECK(more.record == slot.record);
    first.leave();
    expect(2, second);
    CHECK(a.room.size() == 0);
}
