#include "router/pulse.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace weir;
using router::Pulse;
using router::Waiter;

namespace {

/// Remembers when its deadline was met.
class Sleeper : public Waiter {
 public:
    explicit Sleeper(Pulse& pulse) { pulse.watch(*this); }
    std::vector<shm::Nanos> met;

 private:
    void on_deadline() noexcept override { met.push_back(shm::now()); }
};

struct Rig {
    router::asio::io_context io;
    Pulse pulse{io};
    int beats = 0;
    int beats_max = 0;

    Rig() {
        pulse.on_beat([this](shm::Nanos) {
            if (++beats == beats_max) pulse.stop();
        });
    }
    /// Runs until there have been `count` more beats.
    void beat(int count) {
        beats_max = beats + count;
        pulse.start();
        io.restart();
        io.run();
    }
};

}  // namespace

TEST_CASE("a deadline is met once, at a beat, and never early") {
    Rig rig;
    Sleeper sleeper(rig.pulse);
    const shm::Nanos deadline = shm::now() + Pulse::kBeat / 2;
    sleeper.set_deadline(deadline);
    rig.beat(3);
    REQUIRE(sleeper.met.size() == 1);
    CHECK(sleeper.met[0] >= deadline);
    CHECK(sleeper.expired());
    sleeper.reset_expired();
    CHECK_FALSE(sleeper.expired());
}

TEST_CASE("a deadline that is taken back, or far away, or was never set, is not met") {
    Rig rig;
    Sleeper cleared(rig.pulse);
    Sleeper distant(rig.pulse);
    Sleeper never(rig.pulse);
    cleared.set_deadline(shm::now());
    cleared.clear_deadline();
    distant.set_deadline(shm::now() + std::chrono::hours(1));
    rig.beat(2);
    for (const Sleeper* sleeper : {&cleared, &distant, &never}) {
        CHECK(sleeper->met.empty());
        CHECK_FALSE(sleeper->expired());
    }
}

TEST_CASE("a waiter leaves the pulse when it is destroyed") {
    Rig rig;
    auto gone = std::make_unique<Sleeper>(rig.pulse);
    Sleeper left(rig.pulse);
    gone->set_deadline(shm::now());
    left.set_deadline(shm::now());
    gone.reset();
    rig.beat(1);
    CHECK(left.met.size() == 1);
}

TEST_CASE("stopped, the event loop runs out of work, and it can be started again") {
    Rig rig;
    rig.beat(1);
    CHECK(rig.beats == 1);
    rig.beat(1);
    CHECK(rig.beats == 2);
}

TEST_CASE("a pulse may go while a beat of it is under way") {
    router::asio::io_context io;
    {
        Pulse pulse(io);
        pulse.start();
        pulse.start();  // the second time does nothing
    }
    io.run();
    SUCCEED("returned");
}
