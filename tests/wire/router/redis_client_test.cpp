// The client against real servers: what it meets, and how it says so.
#include "router/redis/redis_client.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/no_redis.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/tls_upstream.hpp"
#include "tests/support/wait.hpp"
#include "tests/wire/router/redis_rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::Certificate;
using weir::test::no_redis;
using weir::test::PlainRedis;
using weir::test::RedisServer;
using weir::test::ScriptedRedis;
using weir::test::wait_until;

TEST_CASE("the script is loaded where it is missing, also after the server has forgotten it") {
    if (no_redis()) return;
    RedisServer server;
    RedisRig rig(server_at(server.port()));
    CHECK(answers(rig.ask()));
    PlainRedis(server.port()).command({"SCRIPT", "FLUSH"});
    CHECK(answers(rig.ask()));
}

TEST_CASE("a connection that broke while it was idle costs nothing") {
    if (no_redis()) return;
    RedisServer server;
    RedisRig rig(server_at(server.port()));
    CHECK(answers(rig.ask()));
    PlainRedis(server.port()).command({"CLIENT", "KILL", "TYPE", "normal"});
    CHECK(answers(rig.ask()));
    server.restart();
    CHECK(answers(rig.ask()));
}

TEST_CASE("nor does one that breaks when the next call comes, but a new one that does is a failure") {
    const ScriptedRedis server([call = 0](const std::vector<std::string>&) mutable {
        ++call;
        return call == 1 || call == 3 ? kGranted : "";
    });
    RedisRig rig(server_at(server.port()));
    CHECK(answers(rig.ask()));
    CHECK(answers(rig.ask()));
    CHECK(server.commands() == 3);
    CHECK(server.connections() == 2);
    CHECK(rig.ask().failure.find("closed the connection") != std::string::npos);
    CHECK(server.commands() == 5);
    CHECK(server.connections() == 3);
}

TEST_CASE("a server that is not there, that hangs, or that is something else") {
    if (no_redis()) return;
    RedisSettings settings = server_at(RedisServer::free_port());
    settings.timeout = std::chrono::milliseconds(200);
    CHECK(RedisRig(settings).ask().failure.find("refused the connection") != std::string::npos);
    RedisServer server;
    settings.nodes[0].port = server.port();
    RedisRig rig(settings);
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
    CHECK_FALSE(answers(RedisRig(settings).ask()));
    settings.tls = true;
    settings.ca_file = foreign.certificate();
    CHECK_FALSE(answers(RedisRig(settings).ask()));
    settings.ca_file = certificate.certificate();
    CHECK(answers(RedisRig(settings).ask()));
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
    const std::string failure = RedisRig(server_at(server.port())).ask().failure;
    CHECK(failure.find("it will be ready soon") != std::string::npos);
}

TEST_CASE("passwords and databases") {
    if (no_redis()) return;
    RedisServer server({"--requirepass", "secret"});
    RedisSettings settings = server_at(server.port());
    CHECK(RedisRig(settings).ask().failure.find("a password is needed") != std::string::npos);
    settings.password = "wrong";
    CHECK(RedisRig(settings).ask().failure.find("username or password is wrong") != std::string::npos);
    settings.password = "secret";
    settings.database = 3;
    RedisRig rig(settings);
    CHECK(answers(rig.ask()));
    PlainRedis client(server.port());
    client.command({"AUTH", "secret"});
    client.command({"ACL", "SETUSER", "weir", "on", ">other", "~{weir}:*", "+@all"});
    CHECK(client.command({"EXISTS", "{weir}:hosts"}).integer == 0);
    client.command({"SELECT", "3"});
    CHECK(client.command({"EXISTS", "{weir}:hosts"}).integer == 1);
    settings.username = "weir";
    settings.password = "other";
    CHECK(answers(RedisRig(settings).ask()));
    CHECK(RedisRig(settings).ask("{foreign}:").failure.find("NOPERM") != std::string::npos);
    for (const char* missing : {"-evalsha", "-hset", "-time"}) {
        CAPTURE(missing);
        client.command({"ACL", "SETUSER", "weir", "+@all", missing});
        const std::string failure = RedisRig(settings).ask().failure;
        CHECK(failure.find("the user needs ~{weir}:* +evalsha") != std::string::npos);
    }
}

TEST_CASE("a replica takes no beats, and the sentinels name the new master") {
    if (no_redis()) return;
    RedisServer master;
    RedisServer replica;
    PlainRedis(replica.port()).command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});
    CHECK(RedisRig(server_at(replica.port())).ask().failure.find("READONLY") != std::string::npos);

    RedisServer sentinel({"--sentinel"});
    PlainRedis watch(sentinel.port());
    watch.command({"SENTINEL", "MONITOR", "main", "127.0.0.1", std::to_string(replica.port()), "1"});
    RedisSettings settings = server_at(RedisServer::free_port());
    settings.kind = RedisSettings::Kind::sentinel;
    settings.service_name = "main";
    settings.nodes.push_back({"127.0.0.1", sentinel.port()});
    RedisRig rig(settings);
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
    CHECK(RedisRig(settings).ask().failure.find("knows no master 'other'") != std::string::npos);
}

TEST_CASE("where a name leads is looked up anew when that is a replica by now") {
    if (no_redis()) return;
    const RedisServer old_master;
    const RedisServer new_master;
    std::uint16_t named = old_master.port();
    RedisSettings settings = server_at(6379);
    settings.nodes[0].host = "redis.test";
    RedisRig rig(settings, resolver_to(named));
    CHECK(answers(rig.ask()));
    PlainRedis(old_master.port()).command({"REPLICAOF", "127.0.0.1", std::to_string(new_master.port())});
    named = new_master.port();
    CHECK(rig.ask().failure.find("READONLY") != std::string::npos);
    CHECK(answers(rig.ask()));
}

namespace {

/// A cluster of two masters with half of the slots each, and clients of both.
struct Cluster {
    const std::vector<std::string> settings = {"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"};
    RedisServer first{settings};
    RedisServer second{settings};
    PlainRedis one{first.port()};
    PlainRedis two{second.port()};

    Cluster() {
        one.command({"CLUSTER", "ADDSLOTSRANGE", "0", "8191"});
        two.command({"CLUSTER", "ADDSLOTSRANGE", "8192", "16383"});
        one.command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(second.port())});
        REQUIRE(wait_until([&] { return ready(one) && ready(two); }));
    }
    static bool ready(PlainRedis& node) {
        return node.command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos;
    }
    static bool has_said_try_again(PlainRedis& node) {
        return node.command({"INFO", "errorstats"}).text.find("TRYAGAIN") != std::string::npos;
    }
    RedisSettings settings_of_client() const {
        RedisSettings made = server_at(first.port());
        made.kind = RedisSettings::Kind::cluster;
        return made;
    }
};

}  // namespace

TEST_CASE("a cluster's redirections are followed") {
    if (no_redis()) return;
    Cluster cluster;
    RedisRig rig(cluster.settings_of_client());
    for (const char* prefix : {"{weir}:", "{a}:", "{b}:", "{c}:", "{d}:"}) {
        CAPTURE(prefix);
        CHECK(answers(rig.ask(prefix)));
    }
    // Both hold some of it.
    CHECK(cluster.one.command({"DBSIZE"}).integer > 0);
    CHECK(cluster.two.command({"DBSIZE"}).integer > 0);
}

TEST_CASE("while a cluster moves the keys of a beat to another node, the beat waits for that") {
    if (no_redis()) return;
    Cluster cluster;
    RedisRig rig(cluster.settings_of_client());
    CHECK(answers(rig.ask()));
    const std::string slot = std::to_string(cluster.one.command({"CLUSTER", "KEYSLOT", "{weir}:"}).integer);
    const std::string id_of_one = cluster.one.command({"CLUSTER", "MYID"}).text;
    const std::string id_of_two = cluster.two.command({"CLUSTER", "MYID"}).text;
    const bool at_one = cluster.one.command({"CLUSTER", "COUNTKEYSINSLOT", slot}).integer > 0;
    PlainRedis& from = at_one ? cluster.one : cluster.two;
    PlainRedis& to = at_one ? cluster.two : cluster.one;
    const std::string port_of_to = std::to_string(at_one ? cluster.second.port() : cluster.first.port());
    const std::string id_of_to = at_one ? id_of_two : id_of_one;
    from.command({"SET", "{weir}:a", "not a hash"});
    to.command({"CLUSTER", "SETSLOT", slot, "IMPORTING", at_one ? id_of_one : id_of_two});
    from.command({"CLUSTER", "SETSLOT", slot, "MIGRATING", id_of_to});
    const auto move = [&](const std::string& key) {
        return from.command({"MIGRATE", "127.0.0.1", port_of_to, key, "0", "1000"}).text;
    };
    CHECK(move("{weir}:a") == "OK");
    // One key is here, and the other there.
    CHECK(rig.ask("{weir}:", {"a"}).failure.find("TRYAGAIN") != std::string::npos);
    CHECK(rig.ask("{weir}:", {"a"}).failure.find("will be tried again") != std::string::npos);
    from.command({"CONFIG", "RESETSTAT"});
    const std::jthread mover([&] {
        const auto turned_away = [&] { return Cluster::has_said_try_again(from); };
        if (wait_until(turned_away)) move("{weir}:hosts");
    });
    CHECK(answers(rig.ask("{weir}:", {"a"})));
}
