// The pool of connections to one upstream.
#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <utility>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/support/loopback.hpp"

namespace shm = weir::shm;
using namespace weir::router;
using namespace weir::router::test;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;

namespace {

const std::string kQuestion = R"({"model":"m","messages":[]})";

/// The connections that the requests came over, in the order of their arrival, counted from 0.
std::vector<std::uint64_t> connections(const FakeUpstream& upstream) {
    std::vector<std::uint64_t> seen;
    const auto ledger = upstream.ledger();
    for (const auto& arrival : ledger.at("arrivals")) seen.push_back(arrival.at("connection"));
    const auto first = *std::min_element(seen.begin(), seen.end());
    for (auto& connection : seen) connection -= first;
    return seen;
}

/// `count` requests at the same time.
std::vector<Reply> ask_together(Rig& rig, std::size_t count) {
    std::deque<std::optional<Reply>> places(count);
    for (auto& place : places) {
        asio::co_spawn(rig.io.get_executor(), rig.router().complete(kQuestion),
                       [&place](std::exception_ptr, Reply reply) { place = std::move(reply); });
    }
    const auto end = std::chrono::steady_clock::now() + 30s;
    const auto waits = [](const auto& place) { return !place.has_value(); };
    while (std::any_of(places.begin(), places.end(), waits)) {
        REQUIRE(std::chrono::steady_clock::now() < end);
        rig.io.run_one_for(10ms);
    }
    std::vector<Reply> replies;
    for (const auto& place : places) replies.push_back(*place);
    return replies;
}

/// A port that takes connections no further than the kernel's queue, which is full.
class Blackhole {
 public:
    Blackhole() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
        port = weir::test::bind_to_free_port(listening_);
        REQUIRE(port != 0);
        REQUIRE(::listen(listening_, 0) == 0);
        for (int& fd : filling_) {
            fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            [[maybe_unused]] const bool pending = weir::test::connect_to(fd, port);
        }
    }
    ~Blackhole() {
        empty();
        ::close(listening_);
    }
    Blackhole(const Blackhole&) = delete;
    Blackhole& operator=(const Blackhole&) = delete;
    /// Makes room in the queue.
    void empty() {
        for (int& fd : filling_) ::close(std::exchange(fd, -1));
        for (int taken; (taken = ::accept(listening_, nullptr, nullptr)) >= 0;) ::close(taken);
    }
    Tcp::endpoint endpoint() const { return {asio::ip::address_v4::loopback(), port}; }
    std::uint16_t port = 0;

 private:
    int listening_;
    std::array<int, 4> filling_{};
};

}  // namespace

TEST_CASE("requests one after the other share a connection, requests at the same time do not") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base())});
    for (int i = 0; i < 3; ++i) CHECK(rig.ask(kQuestion).status == 200);
    CHECK(connections(upstream) == std::vector<std::uint64_t>{0, 0, 0});
    upstream.play(R"([{"stall_ms":50,"times":3}])");
    ask_together(rig, 3);
    CHECK(rig.deployment("a").upstream().open() == 3);
    CHECK(rig.deployment("a").upstream().idle() == 3);
}

TEST_CASE("no more connections than allowed: further requests wait for one") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":20,"times":6}])");
    Rig rig({entry("m", "a", upstream.base()), "",
             "upstream: {max_connections: 2, connect_timeout_seconds: 20}"});
    for (const Reply& reply : ask_together(rig, 6)) CHECK(reply.status == 200);
    for (const auto connection : connections(upstream)) CHECK(connection < 2);
    CHECK(rig.deployment("a").upstream().open() == 2);
}

TEST_CASE("but not for ever, and then nothing was sent and nothing is charged") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base(), "rpm: 10, tpm: 100000, timeout: 1"), "num_retries: 0",
             "upstream: {max_connections: 1, connect_timeout_seconds: 0.1}"});
    const auto replies = ask_together(rig, 2);
    CHECK(replies[0].status == 408);
    CHECK(replies[1].status == 503);
    CHECK(contains(replies[1].body, "overloaded_error"));
    CHECK(contains(replies[1].body, "are in use"));
    // That we allow ourselves no more connections is no failure of the upstream.
    CHECK(shm::read_health(rig.deployment("a").health(), shm::now()).failures == 1);
    CHECK(rig.used("a") == 1);
    CHECK(rig.in_flight("a") == 0);
    CHECK(upstream.arrivals() == 1);
}

TEST_CASE("where no connection comes free another deployment is asked") {
    const FakeUpstream full;
    const FakeUpstream other;
    full.play(R"([{"stall_ms":60000}])");
    Rig rig({entry("m", "a", full.base(), "order: 1, timeout: 2") + entry("m", "b", other.base()), "",
             "upstream: {max_connections: 1, connect_timeout_seconds: 0.1}"});
    const auto replies = ask_together(rig, 2);
    CHECK(replies[1].status == 200);
    CHECK(replies[1].deployment_id == "b");
}

TEST_CASE("connecting counts into the time that a request may take, as does waiting for a connection") {
    const Blackhole hole;
    const auto began = shm::now();
    Rig rig({entry("m", "a", "http://127.0.0.1:" + std::to_string(hole.port), "timeout: 0.1"),
             "num_retries: 0", "upstream: {connect_timeout_seconds: 3600, max_connections: 1}"});
    for (const Reply& reply : ask_together(rig, 2)) CHECK(reply.status >= 500);
    CHECK(shm::now() - began < 25s);
    CHECK(rig.deployment("a").upstream().open() == 0);
}

TEST_CASE("an upstream that does not take the connection is given up in time, and costs nothing") {
    const Blackhole hole;
    Rig rig({entry("m", "a", "http://127.0.0.1:" + std::to_string(hole.port), "rpm: 10, tpm: 100000"),
             "num_retries: 0", "upstream: {connect_timeout_seconds: 0.1}"});
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 500);
    CHECK(rig.used("a") == 0);
    CHECK(rig.tokens("a") == 0);
    CHECK(rig.in_flight("a") == 0);
    CHECK(rig.deployment("a").upstream().open() == 0);
}

TEST_CASE("idle connections are closed after a while") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base()), "", "upstream: {idle_timeout_seconds: 0.05}"});
    CHECK(rig.ask(kQuestion).status == 200);
    const Upstream& pool = rig.deployment("a").upstream();
    while (pool.idle() > 0) rig.io.run_one_for(100ms);
    CHECK(pool.open() == 0);
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(connections(upstream).back() > 0);
}

TEST_CASE("an idle connection that the upstream has closed is found out before it is used") {
    const FakeUpstream upstream;
    upstream.play(R"([{"close_idle_connection":true}])");
    Rig rig({entry("m", "a", upstream.base(), "rpm: 10")});
    CHECK(rig.ask(kQuestion).status == 200);
    rig.io.run_for(700ms);
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.used("a") == 2);  // no attempt was lost to it
    CHECK(upstream.arrivals() == 2);
}

TEST_CASE("of a name's addresses the first that answers is taken") {
    const FakeUpstream upstream;  // listens on 127.0.0.1 only; localhost may be ::1 as well
    const std::string base = "http://localhost:" + std::to_string(upstream.port()) + "/v1";
    Rig rig({entry("m", "a", base), "", "upstream: {dns_ttl_seconds: 0}"});
    for (int i = 0; i < 3; ++i) {
        upstream.play(R"([{"close_idle_connection":true}])");
        CHECK(rig.ask(kQuestion).status == 200);  // looked up anew each time
    }
}

TEST_CASE("a name that nobody knows is an error that costs nothing") {
    Rig rig({entry("m", "a", "http://weir.invalid", "rpm: 10"), "num_retries: 0"});
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 500);
    CHECK(rig.used("a") == 0);
    CHECK(rig.in_flight("a") == 0);
}

namespace {

/// A resolver that says what the test tells it to.
struct NameServer {
    std::vector<Tcp::endpoint> answer;
    int asked = 0;
    shm::Nanos delay{};

    static Task<std::vector<Tcp::endpoint>> reply(NameServer& self, asio::io_context& io) {
        ++self.asked;
        if (self.delay != shm::Nanos{}) {
            Timer timer(io);
            timer.expires_after(self.delay);
            co_await timer.async_wait(kAwait);
        }
        co_return self.answer;
    }
    Resolver resolver(asio::io_context& io) {
        return [this, &io](std::string, std::uint16_t) { return reply(*this, io); };
    }
    void say(const FakeUpstream& upstream) {
        answer = {Tcp::endpoint(asio::ip::address_v4::loopback(), upstream.port())};
    }
};

/// The pool of connections to a name that moves from one upstream to another.
struct Moving {
    explicit Moving(shm::Nanos dns_ttl) : pool(io, pulse, url(), settings(dns_ttl), names.resolver(io)) {
        names.say(old_place);
        pulse.start();
    }
    ~Moving() { pulse.stop(); }

    static Url url() {
        Url made;
        made.host = "moving.test";
        return made;
    }
    static ConnectionSettings settings(shm::Nanos dns_ttl) {
        ConnectionSettings made;
        made.dns_ttl = dns_ttl;
        return made;
    }
    Upstream::Acquired acquire(bool fresh = false) { return run(io, pool.acquire(fresh)); }
    /// The port that a new connection leads to; it is kept in the pool.
    std::uint16_t port_of_new() {
        auto acquired = acquire(true);
        if (!acquired.connection) return 0;
        const std::uint16_t port = acquired.connection->peer().port();
        pool.release(std::move(acquired.connection), true);
        return port;
    }
    template <class Done>
    void run_until(Done&& done) {
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (!done()) {
            REQUIRE(std::chrono::steady_clock::now() < end);
            io.run_one_for(10ms);
        }
    }

    FakeUpstream old_place;
    FakeUpstream new_place;
    asio::io_context io{1};
    Pulse pulse{io};
    NameServer names;
    Upstream pool;
};

}  // namespace

TEST_CASE("a name that has moved is followed when its time is up, and not before") {
    Moving far(1h);
    CHECK(far.port_of_new() == far.old_place.port());
    far.names.say(far.new_place);
    CHECK(far.port_of_new() == far.old_place.port());
    CHECK(far.names.asked == 1);

    Moving near(50ms);
    CHECK(near.port_of_new() == near.old_place.port());
    near.names.say(near.new_place);
    near.run_until([&] { return near.port_of_new() == near.new_place.port(); });
    CHECK(near.names.asked >= 2);
}

TEST_CASE("where a lookup fails the old address is used, and without one there is none") {
    Moving name(0ms);
    CHECK(name.port_of_new() == name.old_place.port());
    const int asked = name.names.asked;
    name.names.answer.clear();
    CHECK(name.port_of_new() == name.old_place.port());
    CHECK(name.names.asked > asked);
    name.names.say(name.new_place);
    name.run_until([&] { return name.port_of_new() == name.new_place.port(); });

    Moving unknown(1h);
    unknown.names.answer.clear();
    CHECK(unknown.acquire().error == TransportError::resolve);
    CHECK(unknown.pool.open() == 0);
    unknown.names.say(unknown.new_place);
    CHECK(unknown.port_of_new() == unknown.new_place.port());
}

TEST_CASE("a lookup is waited for no longer than for a connection, and one serves all who wait") {
    Moving slow(1h);
    slow.names.delay = 1h;
    const auto give_up = shm::now() + 100ms;
    CHECK(run(slow.io, slow.pool.acquire(false, give_up)).error == TransportError::connect_timeout);
    CHECK(slow.pool.open() == 0);
    CHECK(run(slow.io, slow.pool.acquire(false, shm::now() + 50ms)).error == TransportError::connect_timeout);
    CHECK(slow.names.asked == 1);

    // With an old address there is time left to try it.
    Moving stale(0ms);
    CHECK(stale.port_of_new() == stale.old_place.port());
    stale.names.delay = 1h;
    const auto found = run(stale.io, stale.pool.acquire(true, shm::now() + 2s));
    CHECK(found.error == TransportError::none);
}

TEST_CASE("an address that does not answer leaves time for the next one, which then goes first") {
    Moving host(1h);
    Blackhole silent;
    const Tcp::endpoint good = host.names.answer.front();
    host.names.answer = {silent.endpoint(), good};
    CHECK(host.port_of_new() == good.port());
    silent.empty();
    CHECK(host.port_of_new() == good.port());
    CHECK(host.pool.open() == 2);
}

TEST_CASE("addresses that all refuse are found out at once, one that may still answer in the end") {
    Moving host(1h);
    const Blackhole silent;
    const int closed = ::socket(AF_INET, SOCK_STREAM, 0);
    const Tcp::endpoint refusing(asio::ip::address_v4::loopback(), weir::test::bind_to_free_port(closed));
    host.names.answer = {refusing, refusing};
    CHECK(run(host.io, host.pool.acquire(true)).error == TransportError::connect);
    host.names.answer = {refusing, silent.endpoint(), refusing};
    CHECK(run(host.io, host.pool.acquire(true, shm::now() + 600ms)).error == TransportError::connect_timeout);
    CHECK(run(host.io, host.pool.acquire(true, shm::now() + 10ms)).error == TransportError::connect_timeout);
    host.names.answer.push_back(Tcp::endpoint(asio::ip::address_v4::loopback(), host.old_place.port()));
    CHECK(host.port_of_new() == host.old_place.port());
    CHECK(host.pool.open() == 1);
    ::close(closed);
}

TEST_CASE("connections to an address that is gone are given up, idle ones and those that come back") {
    Moving name(50ms);
    auto busy = name.acquire(true);
    REQUIRE(busy.connection);
    CHECK(name.port_of_new() == name.old_place.port());
    CHECK(name.pool.idle() == 1);
    name.names.say(name.new_place);
    // Nobody needs a new connection, and still the name is looked up.
    name.run_until([&] { return name.pool.idle() == 0; });
    CHECK(name.pool.open() == 1);
    name.pool.release(std::move(busy.connection), true);
    CHECK(name.pool.idle() == 0);
    CHECK(name.pool.open() == 0);
    CHECK(name.port_of_new() == name.new_place.port());
    const int asked = name.names.asked;
    name.run_until([&] { return name.names.asked > asked + 3; });
    CHECK(name.pool.idle() == 1);  // the one that is good stays
}

TEST_CASE("an address that is named every other time keeps its connections") {
    Moving name(50ms);
    CHECK(name.port_of_new() == name.old_place.port());
    for (int round = 0; round < 4; ++round) {
        const int asked = name.names.asked;
        round % 2 == 0 ? name.names.say(name.new_place) : name.names.say(name.old_place);
        name.run_until([&] { return name.names.asked > asked; });
        CHECK(name.pool.idle() == 1);
    }
}
