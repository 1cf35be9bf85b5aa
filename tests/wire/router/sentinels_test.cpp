// Sentinels, asked by a client: whom it believes, and when.
#include "router/redis/sentinels.hpp"

#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <future>

#include "tests/support/no_redis.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/wait.hpp"
#include "tests/wire/router/redis_rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::kPatience;
using weir::test::no_redis;
using weir::test::PlainRedis;
using weir::test::RedisServer;

namespace {

/// The settings for sentinels at these ports, which are asked with every call whether the master is still it.
RedisSettings sentinels_at(const std::vector<std::uint16_t>& ports) {
    RedisSettings settings = server_at(0);
    settings.kind = RedisSettings::Kind::sentinel;
    settings.service_name = "main";
    settings.ask_sentinels = {};
    settings.nodes.clear();
    for (const std::uint16_t port : ports) settings.nodes.push_back({"127.0.0.1", port});
    return settings;
}

ScriptedRedis::Script always(const std::string& answer) {
    return [answer](const std::vector<std::string>&) { return answer; };
}

/// What a sentinel answers.
std::string named(std::uint16_t port) {
    return fmt::format("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{}\r\n", fmt::to_string(port).size(), port);
}
std::string named(const ScriptedRedis& master) { return named(master.port()); }

}  // namespace

TEST_CASE("a master that lives on, and that the sentinels have replaced, is left for the new one") {
    if (no_redis()) return;
    const RedisServer old_master;
    const RedisServer new_master;
    const RedisServer sentinel({"--sentinel"});
    PlainRedis watch(sentinel.port());
    const auto monitor = [&](const RedisServer& master) {
        watch.command({"SENTINEL", "REMOVE", "main"});
        watch.command({"SENTINEL", "MONITOR", "main", "127.0.0.1", std::to_string(master.port()), "1"});
    };
    monitor(old_master);
    RedisRig rig(sentinels_at({sentinel.port()}));
    CHECK(answers(rig.ask()));
    monitor(new_master);
    PlainRedis beaten(new_master.port());
    CHECK(answers(rig.ask()));  // and then they are asked
    CHECK(beaten.command({"DBSIZE"}).integer == 0);
    CHECK(answers(rig.ask()));
    CHECK(beaten.command({"DBSIZE"}).integer == 1);
}

TEST_CASE("one sentinel's word is not enough, for it may be cut off with the old master") {
    const ScriptedRedis old_master(always(kGranted));
    const ScriptedRedis new_master(always(kGranted));
    const ScriptedRedis cut_off(always(named(old_master)));
    const ScriptedRedis second(always(named(new_master)));
    const ScriptedRedis third(always(named(new_master)));
    RedisRig rig(sentinels_at({cut_off.port(), second.port(), third.port()}));
    for (int i = 0; i < 4; ++i) CHECK(answers(rig.ask()));
    CHECK(old_master.commands() == 1);
    CHECK(new_master.commands() == 3);
    // The sentinels' connections are kept.
    CHECK(second.connections() == 1);
    RedisRig undecided(sentinels_at({cut_off.port(), second.port()}));
    for (int i = 0; i < 4; ++i) CHECK(answers(undecided.ask()));
    CHECK(old_master.commands() == 5);
}

TEST_CASE("a sentinel that names a master that is gone is not asked again and again") {
    const ScriptedRedis new_master(always(kGranted));
    const ScriptedRedis cut_off(always(named(RedisServer::free_port())));
    const ScriptedRedis second(always(named(new_master)));
    RedisRig rig(sentinels_at({cut_off.port(), second.port()}));
    CHECK(rig.ask().failure.find("refused the connection") != std::string::npos);
    CHECK(answers(rig.ask()));
}

TEST_CASE("a beat does not wait for what is asked of sentinels in passing, nor does the end of the client") {
    const ScriptedRedis master(always(kGranted));
    std::promise<void> answered;
    std::promise<bool> in_time;
    const ScriptedRedis sentinel([&, questions = 0](const std::vector<std::string>&) mutable {
        if (++questions == 2) {
            in_time.set_value(answered.get_future().wait_for(kPatience) == std::future_status::ready);
        }
        return named(master);
    });
    RedisSettings settings = sentinels_at({sentinel.port()});
    settings.timeout = std::chrono::minutes(2);
    RedisRig rig(settings);
    // The beat is answered; once the question has been put as well, the client goes.
    rig.on_reply = [&] {
        if (sentinel.commands() < 2) return asio::post(rig.io, rig.on_reply);
        rig.client.reset();
        answered.set_value();
    };
    CHECK(answers(rig.ask()));
    CHECK(in_time.get_future().get());
}
