// The processes of a host among themselves: each opens the segment for itself, here in one process.
#include "router/redis/coordination.hpp"

#include <catch2/catch.hpp>
#include <memory>

#include "rig.hpp"

namespace shm = weir::shm;
using namespace weir::router;
using namespace std::chrono_literals;
using shm::test::ScratchName;
using test::run;

namespace {

/// The store that is named does not answer.
WeirSettings settings_at(std::uint16_t port) {
    WeirSettings settings;
    settings.redis.kind = RedisSettings::Kind::single;
    settings.redis.nodes = {{"127.0.0.1", port}};
    return settings;
}

/// One of the host's processes.
struct Member {
    Member(asio::io_context& io, const ScratchName& scratch, const WeirSettings& settings)
        : segment(shm::Segment::open(scratch.options())),
          pulse(io),
          coordination(io, pulse, segment, settings) {
        pulse.start();
        coordination.start();
    }
    shm::Segment segment;
    Pulse pulse;
    Coordination coordination;
};

}  // namespace

TEST_CASE("a lease that another process raises between a refusal and the wait for it is not missed") {
    asio::io_context io;
    const ScratchName scratch;
    WeirSettings settings = settings_at(1);
    settings.redis.wait = 1h;  // so that nobody is woken because the store does not answer
    Member leader(io, scratch, settings);
    Member member(io, scratch, settings);
    REQUIRE(leader.coordination.leads());
    REQUIRE_FALSE(member.coordination.leads());
    const std::uint64_t seen = member.coordination.grants();
    shm::LeaseBoard(leader.segment).count_grant();
    CHECK(run(io, member.coordination.wait_for_more(seen, shm::now() + 10s), 5s));
}
