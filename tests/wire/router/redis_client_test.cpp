// The client against real servers: what it meets, and how it says so.
#include "router/redis/redis_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>

#include "router/redis/lease_message.hpp"
#include "router/redis/lease_script.hpp"
#include "tests/support/no_redis.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/tls_upstream.hpp"

using namespace weir::router;
using weir::test::Certificate;
using weir::test::no_redis;
using weir::test::PlainRedis;
using weir::test::RedisServer;

namespace {

/// One client in an io_context of its own.
struct Rig {
    asio::io_context io;
    Pulse pulse{io};
    RedisSettings settings;
    std::unique_ptr<RedisClient> client;

    explicit Rig(RedisSettings wanted) : settings(std::move(wanted)) {
        client = std::make_unique<RedisClient>(io, pulse, settings);
    }

    /// A first beat, to the keys of `prefix`.
    RedisReply ask(const std::string& prefix = "{weir}:") {
        Beat beat;
        beat.host = 1;
        beat.nonce = 77;
        beat.sequence = ++sequence;
        beat.lease_ms = 1000;
        RedisReply reply;
        pulse.start();
        const auto call = [&]() -> Task<void> {
            reply = co_await client->call_script(lease_script_sha1(), lease_script(), to_words(beat, prefix),
                                                 weir::shm::now() + settings.timeout);
            pulse.stop();
        };
        asio::co_spawn(io, call(), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io.run();
        io.restart();
        return reply;
    }
    std::uint64_t sequence = 0;
};

RedisSettings server_at(std::uint16_t port) {
    RedisSettings settings;
    settings.kind = RedisSettings::Kind::single;
    settings.nodes = {{"127.0.0.1", port}};
    settings.timeout = std::chrono::milliseconds(2000);
    return settings;
}

bool answers(const RedisReply& reply) {
    UNSCOPED_INFO(reply.failure);
    return reply.failure.empty() && read_answer(reply.value, 0).has_value();
}

}  // namespace

TEST_CASE("the script is loaded where it is missing, also after the server has forgotten it") {
    if (no_redis()) return;
    RedisServer server;
    Rig rig(server_at(server.port()));
    CHECK(answers(rig.ask()));
    PlainRedis(server.port()).command({"SCRIPT", "FLUSH"});
    CHECK(answers(rig.ask()));
    server.restart();
    CHECK_FALSE(answers(rig.ask()));  // its connection broke
    CHECK(answers(rig.ask()));
}

TEST_CASE("a server that is not there, that hangs, or that is something else") {
    if (no_redis()) return;
    RedisSettings settings = server_at(RedisServer::free_port());
    settings.timeout = std::chrono::milliseconds(200);
    CHECK(Rig(settings).ask().failure.find("refused the connection") != std::string::npos);
    RedisServer server;
    settings.nodes[0].port = server.port();
    Rig rig(settings);
    CHECK(answers(rig.ask()));
    server.pause();
    CHECK(rig.ask().failure.find("no answer in time") != std::string::npos);
    server.resume();
    CHECK(answers(rig.ask()));
}

TEST_CASE("behind TLS, with a certificate that is trusted or not") {
    if (no_redis()) return;
    const Certificate certificate("DNS:localhost,IP:127.0.0.1");
    const Certificate foreign("DNS:localhost,IP:127.0.0.1");
    const std::uint16_t port = RedisServer::free_port();
    const RedisServer server({"--tls-port", std::to_string(port), "--tls-cert-file",
                              certificate.certificate(), "--tls-key-file", certificate.key(),
                              "--tls-ca-cert-file", certificate.certificate(), "--tls-auth-clients", "no"});
    RedisSettings settings = server_at(port);
    CHECK_FALSE(answers(Rig(settings).ask()));
    settings.tls = true;
    settings.ca_file = foreign.certificate();
    CHECK_FALSE(answers(Rig(settings).ask()));
    settings.ca_file = certificate.certificate();
    CHECK(answers(Rig(settings).ask()));
}

TEST_CASE("a server that still loads its data will be ready soon") {
    if (no_redis()) return;
    RedisServer server({"--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024",
                        "--rdbcompression", "no"});
    {
        PlainRedis client(server.port());
        for (int i = 0; i < 400; ++i) client.command({"SET", std::to_string(i), std::string(1000, 'x')});
        client.command({"SAVE"});
    }
    server.restart();
    CHECK(Rig(server_at(server.port())).ask().failure.find("it will be ready soon") != std::string::npos);
}

TEST_CASE("passwords and databases") {
    if (no_redis()) return;
    RedisServer server({"--requirepass", "secret"});
    RedisSettings settings = server_at(server.port());
    CHECK(Rig(settings).ask().failure.find("a password is needed") != std::string::npos);
    settings.password = "wrong";
    CHECK(Rig(settings).ask().failure.find("username or password is wrong") != std::string::npos);
    settings.password = "secret";
    settings.database = 3;
    Rig rig(settings);
    CHECK(answers(rig.ask()));
    PlainRedis client(server.port());
    client.command({"AUTH", "secret"});
    client.command({"ACL", "SETUSER", "weir", "on", ">other", "~{weir}:*", "+@all"});
    CHECK(client.command({"EXISTS", "{weir}:hosts"}).integer == 0);
    client.command({"SELECT", "3"});
    CHECK(client.command({"EXISTS", "{weir}:hosts"}).integer == 1);
    settings.username = "weir";
    settings.password = "other";
    CHECK(answers(Rig(settings).ask()));
    CHECK(Rig(settings).ask("{foreign}:").failure.find("NOPERM") != std::string::npos);
    for (const char* missing : {"-evalsha", "-hset", "-time"}) {
        CAPTURE(missing);
        client.command({"ACL", "SETUSER", "weir", "+@all", missing});
        const std::string failure = Rig(settings).ask().failure;
        CHECK(failure.find("the user needs ~{weir}:* +evalsha") != std::string::npos);
    }
}

TEST_CASE("a replica takes no beats, and the sentinels name the new master") {
    if (no_redis()) return;
    RedisServer master;
    RedisServer replica;
    PlainRedis(replica.port()).command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});
    CHECK(Rig(server_at(replica.port())).ask().failure.find("READONLY") != std::string::npos);

    RedisServer sentinel({"--sentinel"});
    PlainRedis watch(sentinel.port());
    watch.command({"SENTINEL", "MONITOR", "main", "127.0.0.1", std::to_string(replica.port()), "1"});
    RedisSettings settings = server_at(RedisServer::free_port());
    settings.kind = RedisSettings::Kind::sentinel;
    settings.service_name = "main";
    settings.nodes.push_back({"127.0.0.1", sentinel.port()});
    Rig rig(settings);
    CHECK_FALSE(answers(rig.ask()));  // nobody is at the first sentinel's address
    CHECK(rig.ask().failure.find("READONLY") != std::string::npos);
    PlainRedis(replica.port()).command({"REPLICAOF", "NO", "ONE"});
    const bool found = [&] {
        for (int i = 0; i < 4; ++i) {
            if (answers(rig.ask())) return true;
        }
        return false;
    }();
    CHECK(found);
    settings.service_name = "other";
    settings.nodes.erase(settings.nodes.begin());
    CHECK(Rig(settings).ask().failure.find("knows no master 'other'") != std::string::npos);
}

TEST_CASE("a cluster's redirections are followed") {
    if (no_redis()) return;
    const std::vector<std::string> clustered = {"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"};
    RedisServer first(clustered);
    RedisServer second(clustered);
    PlainRedis one(first.port());
    PlainRedis two(second.port());
    one.command({"CLUSTER", "ADDSLOTSRANGE", "0", "8191"});
    two.command({"CLUSTER", "ADDSLOTSRANGE", "8192", "16383"});
    one.command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(second.port())});
    RedisSettings settings = server_at(first.port());
    settings.kind = RedisSettings::Kind::cluster;
    Rig rig(settings);
    const auto deadline = weir::shm::now() + std::chrono::seconds(30);
    const auto ready = [&](PlainRedis& node) {
        const auto info = node.command({"CLUSTER", "INFO"}).text;
        return info.find("cluster_state:ok") != std::string::npos;
    };
    while (!(ready(one) && ready(two)) && weir::shm::now() < deadline) {
    }
    for (const char* prefix : {"{weir}:", "{a}:", "{b}:", "{c}:", "{d}:"}) {
        CAPTURE(prefix);
        CHECK(answers(rig.ask(prefix)));
    }
    // Both hold some of it.
    CHECK(one.command({"DBSIZE"}).integer > 0);
    CHECK(two.command({"DBSIZE"}).integer > 0);
}
