// A client of a Redis in an io_context of its own, and what it is asked and answered.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/redis/lease_message.hpp"
#include "router/redis/lease_script.hpp"
#include "router/redis/redis_client.hpp"
#include "tests/support/scripted_redis.hpp"

namespace weir::router::test {

using weir::test::ScriptedRedis;

struct RedisRig {
    asio::io_context io;
    Pulse pulse{io};
    RedisSettings settings;
    std::unique_ptr<RedisClient> client;

    explicit RedisRig(RedisSettings wanted, Resolver resolver = {}) : settings(std::move(wanted)) {
        client = std::make_unique<RedisClient>(io, pulse, settings, std::move(resolver));
    }

    /// A first beat, to the keys of `prefix`: the hosts', and those of `limits`.
    RedisReply ask(const std::string& prefix = "{weir}:", const std::vector<std::string>& limits = {}) {
        Beat beat;
        beat.host = 1;
        beat.nonce = 77;
        beat.sequence = ++sequence;
        beat.lease_ms = 1000;
        for (const std::string& limit : limits) beat.reports.emplace_back().key = limit;
        RedisReply reply;
        pulse.start();
        const auto call = [&]() -> Task<void> {
            reply = co_await client->call_script(lease_script_sha1(), lease_script(), to_words(beat, prefix),
                                                 weir::shm::now() + settings.timeout);
            pulse.stop();
            on_reply();
        };
        asio::co_spawn(io, call(), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io.run();
        io.restart();
        return reply;
    }
    std::uint64_t sequence = 0;
    std::function<void()> on_reply = [] {};
};

inline RedisSettings server_at(std::uint16_t port) {
    RedisSettings settings;
    settings.kind = RedisSettings::Kind::single;
    settings.nodes = {{"127.0.0.1", port}};
    settings.timeout = std::chrono::milliseconds(2000);
    return settings;
}

/// What the script answers, to a beat without reports.
inline const std::string kGranted = "*3\r\n:0\r\n:77\r\n:1\r\n";

inline Task<std::vector<Tcp::endpoint>> here(std::uint16_t port) {
    co_return std::vector<Tcp::endpoint>(1, {asio::ip::address_v4::loopback(), port});
}

/// Every name leads to `port` on this machine, which may change.
inline Resolver resolver_to(const std::uint16_t& port) {
    return [&port](const std::string&, std::uint16_t) { return here(port); };
}

inline bool answers(const RedisReply& reply) {
    UNSCOPED_INFO(reply.failure);
    return reply.failure.empty() && read_answer(reply.value, 0).has_value();
}

}  // namespace weir::router::test
