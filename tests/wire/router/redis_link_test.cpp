// A connection to a Redis: when it is of no more use.
#include "router/redis/redis_link.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

#include "tests/wire/router/redis_rig.hpp"

using namespace weir::router;
using namespace weir::router::test;

TEST_CASE("a server that falls silent is asked whether it is there") {
    const ScriptedRedis server([](const std::vector<std::string>&) { return kGranted; });
    RedisRig rig(server_at(server.port()));
    CHECK(answers(rig.ask()));
    std::ifstream connections("/proc/net/tcp");
    std::string line;
    bool probed = false;
    while (std::getline(connections, line)) {
        std::istringstream columns(line);
        std::string number, local, remote, state, queues, timer;
        columns >> number >> local >> remote >> state >> queues >> timer;
        const bool ours = state == "01" && remote == fmt::format("0100007F:{:04X}", server.port());
        // 02 is the timer of such probes, and runs always; 00 would be none.
        if (ours) probed = timer.starts_with("02:");
    }
    CHECK(probed);
}

TEST_CASE("a link is stale once its name has led elsewhere twice, though its peer is well") {
    const auto well = [](const std::vector<std::string>&) { return kGranted; };
    const ScriptedRedis before(well);
    const ScriptedRedis now(well);
    asio::io_context io;
    Pulse pulse(io);
    std::uint16_t named = before.port();
    Url url;
    url.host = "redis.test";
    Upstream upstream(io, pulse, url, ConnectionSettings{}, resolver_to(named));
    const auto open = [&](RedisLink& link) {
        upstream.distrust_addresses();
        asio::co_spawn(io, link.open(upstream, RedisGreeting{}, weir::shm::now() + std::chrono::seconds(30)),
                       [](std::exception_ptr, const std::string& failure) { CHECK(failure.empty()); });
        io.run();
        io.restart();
    };
    RedisLink first;
    RedisLink second;
    open(first);
    named = now.port();
    open(second);
    CHECK_FALSE(first.is_stale());
    open(second);
    CHECK(first.is_stale());
    CHECK_FALSE(second.is_stale());
}
