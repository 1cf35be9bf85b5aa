// What hosts do when the store of their leases fails them, in every mode that they can be given for it.
#include "tests/e2e/hosts.hpp"
#include "tests/support/long_form.hpp"
#include "tests/support/relay.hpp"

using namespace weir::test;

namespace {

Hosts::Options two_hosts(std::uint16_t port, const std::string& fail_mode) {
    Hosts::Options options;
    options.store = Hosts::at(port);
    options.fail_mode = fail_mode;
    return options;
}

enum class Trouble { killed, paused };

void begin(Trouble trouble, RedisServer& redis) {
    trouble == Trouble::killed ? redis.stop() : redis.pause();
}
/// A server that was killed comes back without its data.
void end(Trouble trouble, RedisServer& redis) {
    trouble == Trouble::killed ? redis.restart() : redis.resume();
}

/// The mode is to be seen in the header, in the metric, in the log and by weir-inspect.
void check_signs(Hosts& hosts, const std::string& mode) {
    for (std::size_t host = 0; host < hosts.proxies().size(); ++host) {
        CHECK(hosts.has_mode(host, mode));
        CHECK(hosts.ask(host).field("x-weir-limit-mode") == mode);
        const std::string log = hosts.proxy(host).errors();
        CHECK(log.find("limits are now kept by mode " + mode) != std::string::npos);
        const Finished shown = run({"weir-inspect", "--segment", hosts.segment(host), "hosts"});
        CHECK(shown.status == 0);
        CHECK(shown.output.find(mode) != std::string::npos);
    }
}

/// Without the store, by mode, once its lease has ended: what goes on, and how much of it.
void check_without_store(Hosts& hosts, const std::string& mode) {
    const std::uint64_t before = hosts.arrivals();
    if (mode == "closed") {
        // At most what was on its way.
        CHECK_FALSE(wait_until([&] { return hosts.arrivals() > before + 2; }, std::chrono::seconds(1)));
    } else {
        REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 150; }));
    }
}

void fail_and_recover(const std::string& mode, Trouble trouble) {
    CAPTURE(mode);
    RedisServer redis;
    Hosts hosts(two_hosts(redis.port(), mode));
    const Traffic traffic(hosts);
    REQUIRE(wait_until([&] { return hosts.arrivals() >= 100; }));
    begin(trouble, redis);
    hosts.wait_for_mode(mode);
    check_signs(hosts, mode);
    check_without_store(hosts, mode);
    end(trouble, redis);
    hosts.wait_for_mode("shared");
    check_signs(hosts, "shared");
    const std::uint64_t after = hosts.arrivals();
    REQUIRE(wait_until([&] { return hosts.arrivals() >= after + 200; }));
    // Each host takes the whole limit in mode open, as it says; the others never exceed it, at no moment.
    CHECK(hosts.fullest() <= (mode == "open" ? 200 : 100));
}

}  // namespace

TEST_CASE("the store dies under load and comes back empty, mode share") {
    if (!no_redis()) fail_and_recover("share", Trouble::killed);
}
TEST_CASE("the store hangs under load, mode closed") {
    if (!no_redis()) fail_and_recover("closed", Trouble::paused);
}
TEST_CASE("the store dies under load and comes back empty, mode open") {
    if (!no_redis()) fail_and_recover("open", Trouble::killed);
}
TEST_CASE("the store fails in either way, in every mode", "[long]") {
    if (no_redis() || !long_form()) return;
    for (const char* mode : {"share", "closed", "open"}) {
        fail_and_recover(mode, Trouble::killed);
        fail_and_recover(mode, Trouble::paused);
    }
}

TEST_CASE("the store loses its data and is there again at once, and no window is overfull") {
    if (no_redis()) return;
    RedisServer redis;
    Hosts hosts(two_hosts(redis.port(), "share"));
    {
        const Traffic traffic(hosts);
        const int times = long_form() ? 20 : 3;
        for (int i = 0; i < times; ++i) {
            const std::uint64_t before = hosts.arrivals();
            REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 70; }));
            redis.restart();
        }
        const std::uint64_t after = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= after + 200; }));
    }
    hosts.wait_for_mode("shared");
    CHECK(hosts.fullest() <= 100);
}

TEST_CASE("the store is away for longer than a lease lasts, and back with a copy of some time ago") {
    if (no_redis()) return;
    const std::string mode = GENERATE("share", "closed");
    RedisServer redis;
    Hosts hosts(two_hosts(redis.port(), mode));
    {
        const Traffic traffic(hosts);
        const int times = long_form() ? 20 : 2;
        for (int i = 0; i < times; ++i) {
            PlainRedis(redis.port()).command({"SAVE"});
            const std::uint64_t before = hosts.arrivals();
            REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 110; }));
            redis.stop();
            hosts.wait_for_mode(mode);
            redis.restart();
            hosts.wait_for_mode("shared");
        }
    }
    CHECK(hosts.fullest() <= 100);
}

TEST_CASE("a connection that stalls and breaks all the time: no window is overfull, and it goes on") {
    if (no_redis()) return;
    const RedisServer redis;
    Relay relay(redis.port());
    // Everything that is sent into a gap is lost with its connection, or late.
    const std::string mode = GENERATE("share", "closed");
    Hosts hosts(two_hosts(relay.port(), mode));
    {
        const Traffic traffic(hosts);
        const int times = long_form() ? 100 : 12;
        for (int i = 0; i < times; ++i) {
            pause_for(std::chrono::milliseconds(60 + 37 * i % 120));
            relay.stall();
            pause_for(std::chrono::milliseconds(10 + 53 * i % 350));
            if (i % 2 == 0) relay.cut();
            relay.go_on();
        }
        // Once it is gone for longer than a lease lasts.
        relay.stall();
        hosts.wait_for_mode(mode);
        relay.cut();
        relay.go_on();
        hosts.wait_for_mode("shared");
        const std::uint64_t after = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= after + 200; }));
    }
    CHECK(relay.connections() > 10);
    CHECK(hosts.fullest() <= 100);
}

TEST_CASE("one host is cut off, the other not: in mode closed no window is overfull, and the other goes on") {
    if (no_redis()) return;
    const RedisServer redis;
    Relay relay(redis.port());
    Hosts::Options options;
    options.fail_mode = "closed";
    for (const std::uint16_t port : {redis.port(), relay.port()}) {
        options.environments.push_back({"REDIS_HOST=127.0.0.1", "REDIS_PORT=" + std::to_string(port)});
    }
    Hosts hosts(options);
    {
        const Traffic traffic(hosts);
        REQUIRE(wait_until([&] { return hosts.arrivals() >= 100; }));
        relay.stall();
        REQUIRE(wait_until([&] { return hosts.has_mode(1, "closed"); }));
        CHECK(hosts.has_mode(0, "shared"));
        CHECK(hosts.ask(1).status == 429);
        const std::uint64_t before = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 400; }));  // two whole windows
        relay.cut();
        relay.go_on();
        hosts.wait_for_mode("shared");
        REQUIRE(wait_until([&] { return hosts.ask(1).status == 200; }));
    }
    CHECK(hosts.fullest() <= 100);
}

TEST_CASE("the process that talks to the store is stopped, and the others take what the fail mode allows") {
    if (no_redis()) return;
    const RedisServer redis;
    const std::string mode = GENERATE("share", "open");
    Hosts::Options options = two_hosts(redis.port(), mode);
    Hosts hosts(options);
    Program& other = hosts.site().start_proxy(0, hosts.segment(0));
    const auto ask = [&] {
        return fetch(other.port(), "POST", "/v1/chat/completions", kQuestion, kCaller);
    };
    REQUIRE(ask().status == 200);
    hosts.proxy(0).signal(SIGSTOP);
    // Until then the host has its old leases, of a request or two. In mode share that takes as long as the
    // other host may have a lease of before, or use of it in its window.
    std::uint64_t admitted = 0;
    REQUIRE(wait_until([&] {
        for (admitted = 0; admitted < 1000 && ask().status == 200;) ++admitted;
        return admitted > 10;
    }));
    CHECK(ask().field("x-weir-limit-mode") == mode);
    // Both upstreams' limits, or half of them.
    const std::uint64_t whole = mode == "open" ? 200 : 100;
    CHECK(admitted >= whole - 4);
    CHECK(hosts.fullest() <= whole / 2);
    hosts.proxy(0).signal(SIGCONT);
    hosts.wait_for_mode("shared");
    CHECK(wait_until([&] { return ask().status == 200; }));
}

TEST_CASE("a reload changes the store at once, though a request of before is still under way") {
    if (no_redis()) return;
    RedisServer before;
    const RedisServer after;
    Hosts::Options options = two_hosts(before.port(), "closed");
    options.count = 1;
    options.site.upstream_arguments = {"--rpm", "0", "--latency-ms", "6000"};
    Hosts hosts(options);
    const std::jthread slow([&] { hosts.ask(0); });
    const auto running = [&] {
        std::size_t count = 0;
        for (const std::uint16_t port : hosts.site().upstream_ports()) {
            for (const auto& arrival : arrivals_at(port)) count += arrival.at("end") == "running";
        }
        return count;
    };
    REQUIRE(wait_until([&] { return running() == 1; }));
    hosts.site().edit_config(hosts.segment(0), Hosts::at(before.port()), Hosts::at(after.port()));
    hosts.proxy(0).signal(SIGHUP);
    const auto known = [&] {
        return PlainRedis(after.port()).command({"EXISTS", "{weir}:hosts"}).integer == 1;
    };
    REQUIRE(wait_until(known, std::chrono::seconds(3)));
    before.stop();
    pause_for(std::chrono::milliseconds(1500));  // the lease of before is over
    CHECK(hosts.has_mode(0, "shared"));
    CHECK(running() == 1);
}
