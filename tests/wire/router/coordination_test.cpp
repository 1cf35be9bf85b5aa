// The processes of a host among themselves: each opens the segment for itself, here in one process.
#include "router/redis/coordination.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>

#include "rig.hpp"
#include "tests/support/no_redis.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/redis_server.hpp"

namespace shm = weir::shm;
using namespace weir::router;
using namespace std::chrono_literals;
using shm::test::ScratchName;
using test::run;
using weir::test::no_redis;
using weir::test::PlainRedis;
using weir::test::RedisServer;

namespace {

/// Of one of two hosts. Nothing listens on port 1.
WeirSettings settings_at(std::uint16_t port, FailMode mode = FailMode::share) {
    WeirSettings settings;
    settings.fail_mode = mode;
    settings.expected_hosts = 2;
    settings.redis.lease = 1s;
    settings.redis.timeout = 300ms;
    settings.redis.kind = RedisSettings::Kind::single;
    settings.redis.nodes = {{"127.0.0.1", port}};
    return settings;
}

/// One of the host's processes.
struct Member {
    Member(asio::io_context& io, const ScratchName& scratch, const WeirSettings& settings)
        : segment(shm::Segment::open(scratch.options())),
          pulse(io),
          own(std::make_shared<Coordination>(io, pulse, segment, settings)),
          coordination(*own) {
        pulse.start();
        coordination.start();
    }
    ~Member() { coordination.stop(); }
    shm::Segment segment;
    Pulse pulse;
    std::shared_ptr<Coordination> own;
    Coordination& coordination;
};

/// Runs until `done`, or for longer than anything here takes.
template <class Done>
bool runs_until(asio::io_context& io, Done&& done) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < end) io.run_one_for(10ms);
    return done();
}

/// How many hosts a store knows of.
std::size_t hosts_at(const RedisServer& redis) {
    std::size_t count = 0;
    for (const RedisValue& field : PlainRedis(redis.port()).command({"HKEYS", "{weir}:hosts"}).elements) {
        count += field.text.find_first_not_of("0123456789") == std::string::npos;
    }
    return count;
}

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

TEST_CASE("a host goes to another store at once, though requests of before are still under way") {
    if (no_redis()) return;
    asio::io_context io;
    const ScratchName scratch;
    RedisServer before, after;
    Member old(io, scratch, settings_at(before.port(), FailMode::closed));
    REQUIRE(runs_until(io, [&] { return old.coordination.mode() == shm::LeaseMode::shared; }));
    Member fresh(io, scratch, settings_at(after.port(), FailMode::closed));
    CHECK_FALSE(fresh.coordination.leads());
    old.coordination.hand_over(fresh.own);
    CHECK_FALSE(old.coordination.leads());
    CHECK(fresh.coordination.leads());
    REQUIRE(runs_until(io, [&] { return hosts_at(after) == 1; }));
    before.stop();
    // For longer than a lease, and never without one; who has begun before sees to that, too.
    for (const auto end = shm::now() + 2s; shm::now() < end; io.run_one_for(10ms)) {
        old.coordination.check(shm::now());
        REQUIRE(old.coordination.mode() == shm::LeaseMode::shared);
    }
}

TEST_CASE("a store that is left keeps the host's lease until it ends, and hears no more of it") {
    if (no_redis()) return;
    asio::io_context io;
    const ScratchName scratch;
    RedisServer before, after;
    before.pause();
    Member old(io, scratch, settings_at(before.port()));
    io.run_for(100ms);  // an exchange is under way
    Member fresh(io, scratch, settings_at(after.port()));
    old.coordination.hand_over(fresh.own);
    before.resume();
    REQUIRE(runs_until(io, [&] { return fresh.coordination.mode() == shm::LeaseMode::shared; }));
    const std::uint64_t incarnation = shm::LeaseBoard(fresh.segment).contact().incarnation;
    const std::string known = PlainRedis(after.port()).command({"HGET", "{weir}:hosts", "i"}).text;
    CHECK(std::to_string(incarnation) == known);
    io.run_for(500ms);
    CHECK(shm::LeaseBoard(fresh.segment).contact().incarnation == incarnation);
}

TEST_CASE("a new fail mode holds at once, also where there is no contact, and for requests of before") {
    asio::io_context io;
    const ScratchName scratch;
    Member old(io, scratch, settings_at(1, FailMode::open));
    old.segment.set_shared(true);
    REQUIRE(old.segment.shared_limiter({"key", "a"}, 100));
    shm::LeaseBoard board(old.segment);
    const auto lease = [&] { return board.read(board.limits().at(0), shm::now()).lease; };
    REQUIRE(runs_until(io, [&] { return lease() == 100; }));
    Member closed(io, scratch, settings_at(1, FailMode::closed));
    old.coordination.hand_over(closed.own);
    CHECK(runs_until(io, [&] { return lease() == 0; }));
    CHECK(board.mode() == shm::LeaseMode::closed);
    // The next one, and a lease that ends: the first goes by the settings of the last.
    Member share(io, scratch, settings_at(1, FailMode::share));
    closed.coordination.hand_over(share.own);
    CHECK(runs_until(io, [&] { return board.mode() == shm::LeaseMode::share; }));
    board.set_mode(shm::LeaseMode::shared);
    board.set_guard(shm::now());
    old.coordination.check(shm::now());
    CHECK(board.mode() == shm::LeaseMode::share);
}

TEST_CASE("a request that waits while its coordination is handed over goes on to wait at the next") {
    asio::io_context io;
    const ScratchName scratch;
    WeirSettings settings = settings_at(1);
    settings.redis.wait = 1h;
    Member old(io, scratch, settings);
    Member fresh(io, scratch, settings);
    int woken = 0;
    const auto wait = [&] {
        const auto seen = old.coordination.grants();
        asio::co_spawn(io, old.coordination.wait_for_more(seen, shm::now() + 1h),
                       [&](std::exception_ptr, bool raised) { woken += raised; });
        io.run_for(20ms);
    };
    wait();
    CHECK(woken == 0);
    old.coordination.hand_over(fresh.own);
    CHECK(runs_until(io, [&] { return woken == 1; }));
    wait();
    CHECK(woken == 1);
    Member third(io, scratch, settings);
    fresh.coordination.hand_over(third.own);
    CHECK(runs_until(io, [&] { return woken == 2; }));
}

namespace {

/// A host with a lease of all of a limit of 100, of which it has used 10.
struct Leaving {
    asio::io_context io;
    const ScratchName scratch;
    RedisServer redis;
    Member member{io, scratch, long_lease(redis.port())};
    shm::Segment same = shm::Segment::open(scratch.options());

    static WeirSettings long_lease(std::uint16_t port) {
        WeirSettings settings = settings_at(port);
        settings.expected_hosts = 1;
        settings.redis.lease = 60s;
        return settings;
    }
    Leaving() {
        member.segment.set_shared(true);
        const shm::Limiter limiter = member.segment.shared_limiter({"key", "a"}, 100);
        REQUIRE(runs_until(io, [&] { return member.coordination.mode() == shm::LeaseMode::shared; }));
        io.run_for(300ms);
        const shm::Wanted wanted(shm::Shortage(limiter, 100));
        REQUIRE(run(io, member.coordination.wait_for_more(member.coordination.grants(), shm::now() + 10s)));
        shm::Participant me = member.segment.join("test");
        const std::array charges = {shm::Charge{limiter, 10}};
        REQUIRE(me.admit({charges, {}}, shm::now()).admitted());
    }
    /// What the store has of the limit's charges.
    std::string charged() const {
        PlainRedis plain(redis.port());
        for (const RedisValue& key : plain.command({"KEYS", "{weir}:*key*"}).elements) {
            const std::string sums = plain.command({"HGET", key.text, "."}).text;
            return sums.substr(0, sums.find(' '));
        }
        return "0";
    }
    /// Returns how long it took.
    shm::Nanos leave(shm::Nanos most) {
        const shm::Nanos from = shm::now();
        bool left = false;
        asio::co_spawn(io, member.coordination.leave(from + most), [&](std::exception_ptr) { left = true; });
        REQUIRE(runs_until(io, [&] { return left; }));
        CHECK_FALSE(member.coordination.leads());
        return shm::now() - from;
    }
};

}  // namespace

TEST_CASE("the last process of a host gives back what is not used when it leaves") {
    if (no_redis()) return;
    Leaving host;
    REQUIRE(host.charged() == "100");
    host.leave(10s);
    CHECK(host.charged() == "10");
    // A new one on the same segment goes on with that.
    Member next(host.io, host.scratch, Leaving::long_lease(host.redis.port()));
    REQUIRE(next.coordination.leads());
    host.io.run_for(300ms);
    CHECK(next.coordination.mode() == shm::LeaseMode::shared);
    CHECK(host.charged() == "10");
}

TEST_CASE("while another process of the host is there, who leaves keeps what it may need") {
    if (no_redis()) return;
    Leaving host;
    std::optional<shm::Participant> one = host.same.join("other"), two = host.same.join("another");
    CHECK(host.leave(50ms) >= 50ms);
    CHECK(host.charged() == "100");
}

TEST_CASE("a process waits a moment to be the last, and no longer for a store that does not answer") {
    if (no_redis()) return;
    Leaving host;
    std::optional<shm::Participant> one = host.same.join("other"), two = host.same.join("another");
    Timer later(host.io);
    later.expires_after(100ms);
    later.async_wait([&](ErrorCode) { two.reset(); });
    host.leave(10s);
    CHECK(host.charged() == "10");
    Member next(host.io, host.scratch, Leaving::long_lease(host.redis.port()));
    host.redis.pause();
    const shm::Nanos from = shm::now();
    bool left = false;
    asio::co_spawn(host.io, next.coordination.leave(from + 200ms), [&](std::exception_ptr) { left = true; });
    CHECK(runs_until(host.io, [&] { return left; }));
    CHECK(shm::now() - from < 1s);
    host.redis.resume();
}
