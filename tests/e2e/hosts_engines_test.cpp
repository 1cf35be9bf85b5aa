// The engines that can keep the leases, each by its real processes: a server behind TLS, one that turns
// against its clients, a master whose place a replica takes, and a cluster.
#include "tests/e2e/hosts.hpp"
#include "tests/support/tls_upstream.hpp"

using namespace weir::test;

namespace {

void check_batches(Hosts& hosts) {
    const Judged judged =
        judge(hosts.site().load(hosts.proxies(), {"--batches", "2", "--pause", "2.4", "--expect", "200"}));
    INFO(judged.finished.output << judged.finished.errors);
    CHECK(judged.finished.status == 0);
    CHECK(judged.record.at("total").at("successes") == 400);
    CHECK(hosts.fullest() == 100);
}

std::string words_of(PlainRedis& client, const std::vector<std::string>& command) {
    return client.command(command).text;
}

}  // namespace

TEST_CASE("TLS, a user with no more rights than needed, a database and a prefix, by the environment") {
    if (no_redis()) return;
    const Certificate certificate("DNS:localhost,IP:127.0.0.1");
    const std::string port = std::to_string(RedisServer::free_port());
    const RedisServer redis({"--tls-port", port, "--tls-cert-file", certificate.certificate(),
                             "--tls-key-file", certificate.key(), "--tls-ca-cert-file",
                             certificate.certificate(), "--tls-auth-clients", "no"});
    PlainRedis client(redis.port());
    client.command({"ACL", "SETUSER", "weir", "on", ">s3:cret", "~{mine}:*", "+evalsha", "+script|load",
                    "+select", "+time", "+hmget", "+hset", "+hgetall", "+hdel", "+del", "+pexpire"});
    Hosts::Options options;
    options.store = "prefix: mine, ca_file: " + certificate.certificate().string();
    const std::vector<std::string> environment = {"REDIS_URL=rediss://weir:s3%3Acret@127.0.0.1:" + port +
                                                  "/3"};
    options.environments = {environment, environment};
    Hosts hosts(options);
    check_batches(hosts);
    CHECK(client.command({"DBSIZE"}).integer == 0);
    client.command({"SELECT", "3"});
    CHECK(client.command({"EXISTS", "{mine}:hosts"}).integer == 1);
}

TEST_CASE("a server that turns against its clients: the log says why, and it is over by itself") {
    if (no_redis()) return;
    const RedisServer redis;
    PlainRedis client(redis.port());
    Hosts::Options options;
    options.store = Hosts::at(redis.port());
    Hosts hosts(options);
    struct Trouble {
        std::vector<std::string> begins;
        std::string log;
        std::vector<std::string> ends;
    };
    const std::string nowhere = std::to_string(RedisServer::free_port());
    for (const Trouble& trouble : {
             Trouble{{"CONFIG", "SET", "requirepass", "secret"},
                     "a password is needed",
                     {"CONFIG", "SET", "requirepass", ""}},
             Trouble{{"ACL", "SETUSER", "default", "-evalsha"},
                     "the user needs ~{weir}:* +evalsha",
                     {"ACL", "SETUSER", "default", "+evalsha"}},
             Trouble{{"REPLICAOF", "127.0.0.1", nowhere},
                     "this is a replica",
                     {"REPLICAOF", "NO", "ONE"}},
         }) {
        CAPTURE(trouble.log);
        const Traffic traffic(hosts);
        client.command(trouble.begins);
        client.command({"CLIENT", "KILL", "TYPE", "normal"});
        hosts.wait_for_mode("share");
        for (std::size_t host = 0; host < 2; ++host) {
            CHECK(wait_until(
                [&] { return hosts.proxy(host).errors().find(trouble.log) != std::string::npos; }));
        }
        client.command(trouble.ends);
        hosts.wait_for_mode("shared");
    }
    CHECK(hosts.fullest() <= 100);
}

TEST_CASE("a wrong password: each host keeps to its share, and says so once, until the password is right") {
    if (no_redis()) return;
    const RedisServer redis({"--requirepass", "another"});
    PlainRedis client(redis.port());
    client.command({"AUTH", "another"});
    Hosts::Options options;
    options.store = Hosts::at(redis.port()) + ", password: s3cret";
    options.begins = "share";
    Hosts hosts(options);
    const Traffic traffic(hosts);
    const auto times_said = [&](std::size_t host) {
        const std::string log = hosts.proxy(host).errors();
        std::size_t times = 0;
        const std::string words = "username or password is wrong";
        for (auto at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) ++times;
        return times;
    };
    for (std::size_t time = 1; time <= 2; ++time) {
        CAPTURE(time);
        const std::uint64_t before = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= before + 150; }));
        // By itself, and as the reason for the mode.
        for (std::size_t host = 0; host < 2; ++host) CHECK(times_said(host) == 2 * time);
        client.command({"CONFIG", "SET", "requirepass", "s3cret"});
        hosts.wait_for_mode("shared");
        // Who has said the right one before may stay; but not for ever.
        client.command({"CONFIG", "SET", "requirepass", "a third"});
        client.command({"CLIENT", "KILL", "TYPE", "normal"});
        hosts.wait_for_mode("share");
    }
    CHECK(hosts.fullest() <= 100);
}

TEST_CASE("Sentinel: the master dies under load, a replica takes its place, and the hosts go on there") {
    if (no_redis()) return;
    RedisServer master;
    RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
    PlainRedis follower(replica.port());
    REQUIRE(wait_until([&] {
        return words_of(follower, {"INFO", "replication"}).find("master_link_status:up") !=
               std::string::npos;
    }));
    const RedisServer sentinel({"--sentinel"});
    PlainRedis watch(sentinel.port());
    watch.command({"SENTINEL", "MONITOR", "main", "127.0.0.1", std::to_string(master.port()), "1"});
    watch.command({"SENTINEL", "SET", "main", "down-after-milliseconds", "1500"});
    REQUIRE(wait_until([&] { return watch.command({"SENTINEL", "REPLICAS", "main"}).elements.size() == 1; }));

    Hosts::Options options;
    options.fail_mode = "closed";
    options.store = "service_name: main, sentinel_nodes: [[127.0.0.1, " + std::to_string(sentinel.port()) +
                    "]]";
    Hosts hosts(options);
    {
        const Traffic traffic(hosts);
        REQUIRE(wait_until([&] { return hosts.arrivals() >= 100; }));
        // On a machine so busy that it has happened before, it is the other's turn.
        const auto now = watch.command({"SENTINEL", "get-master-addr-by-name", "main"});
        (now.elements.at(1).text == std::to_string(master.port()) ? master : replica).stop();
        hosts.wait_for_mode("closed");
        hosts.wait_for_mode("shared");
        const std::uint64_t after = hosts.arrivals();
        REQUIRE(wait_until([&] { return hosts.arrivals() >= after + 400; }));
    }
    // Replicas follow a little behind: what was granted in the last writes may be granted twice.
    CHECK(hosts.fullest() <= 100 + 5);
}

TEST_CASE("a cluster of three masters keeps the leases") {
    if (no_redis()) return;
    const std::vector<std::string> clustered = {"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"};
    std::deque<RedisServer> nodes;
    std::deque<PlainRedis> clients;
    std::string startup;
    const std::vector<std::pair<std::string, std::string>> slots = {
        {"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}};
    for (const auto& [from, to] : slots) {
        const std::uint16_t port = nodes.emplace_back(clustered).port();
        clients.emplace_back(port).command({"CLUSTER", "ADDSLOTSRANGE", from, to});
        clients.front().command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(port)});
        startup += (startup.empty() ? "" : ", ") + std::string("{host: 127.0.0.1, port: ") +
                   std::to_string(port) + "}";
    }
    for (PlainRedis& client : clients) {
        REQUIRE(wait_until([&] {
            return words_of(client, {"CLUSTER", "INFO"}).find("cluster_state:ok") != std::string::npos;
        }));
    }
    Hosts::Options options;
    options.store = "startup_nodes: [" + startup + "]";
    Hosts hosts(options);
    check_batches(hosts);
    // Everything is in one slot, and a beat no dearer than elsewhere.
    CHECK(std::count_if(clients.begin(), clients.end(), [](PlainRedis& client) {
              return client.command({"DBSIZE"}).integer > 0;
          }) == 1);
}
