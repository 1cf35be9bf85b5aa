// The script in a real redis-server against its twin, with which the simulation proves what the protocol
// promises.
#include <catch2/catch.hpp>

#include <random>

#include "router/redis/lease_script.hpp"
#include "tests/support/lease_store.hpp"
#include "tests/support/no_redis.hpp"
#include "tests/support/plain_redis.hpp"
#include "tests/support/redis_server.hpp"

using namespace weir::router;
using weir::test::LeaseStore;
using weir::test::no_redis;
using weir::test::PlainRedis;
using weir::test::RedisServer;

namespace {

std::vector<std::string> call(const std::string& sha, const Beat& beat, std::int64_t clock) {
    std::vector<std::string> words = {"EVALSHA", sha};
    const auto rest = to_words(beat, "{weir}:", clock);
    words.insert(words.end(), rest.begin(), rest.end());
    return words;
}

/// What one host knows, drawn at random but plausible enough for every branch to be met.
struct Peer {
    std::uint64_t id = 0;
    std::uint64_t claimed = 0;
    std::uint64_t sequence = 0;
    std::uint64_t acked = 0;
    std::map<std::string, weir::shm::Units> leases;
};

LeaseReport random_report(Peer& peer, std::mt19937_64& random) {
    static constexpr std::uint64_t kFull[] = {1, 7, 100, 100'000, (std::uint64_t{1} << 39) - 1};
    static constexpr std::int64_t kWindow[] = {0, 500, 6000, 60'000, 86'400'000};
    const std::size_t kind = random() % 5;
    LeaseReport report;
    report.key = "limit " + std::to_string(kind);
    report.full = kFull[kind];
    report.window_ms = kWindow[random() % 2 == 0 ? kind : 2];
    auto& lease = peer.leases[report.key];
    report.hold = random() % 4 == 0 ? lease / 2 : lease;
    report.used = random() % (report.hold + report.full / 8 + 2);
    report.demand = std::min(report.full, report.used + random() % (report.full + 1));
    report.need =
        std::max(report.hold, std::min(report.full, report.used + random() % (report.full / 2 + 2)));
    report.ask = std::max(report.need, random() % (report.full + 1));
    return report;
}

Beat random_beat(Peer& peer, std::mt19937_64& random) {
    Beat beat;
    beat.host = peer.id;
    beat.claimed = random() % 150 == 0 ? 1 + random() % 3 : peer.claimed;
    beat.sequence = random() % 15 == 0 ? peer.sequence : ++peer.sequence;
    beat.acked = random() % 200 == 0 ? peer.acked + 5 : peer.acked;
    beat.nonce = 1 + random() % 10'000'000'000'000 / 2;
    beat.registering = random() % 3 == 0;
    beat.more = beat.registering && random() % 4 == 0;
    beat.epoch = random() % 4 == 0 ? peer.sequence : peer.sequence / 4;
    beat.silence_ms = static_cast<std::int64_t>(random() % 4 == 0 ? random() % 70'000 : random() % 300);
    beat.failed = random() % 20 == 0;
    beat.lease_ms = 1500;
    beat.margin_ms = 100;
    beat.hosts_expected = 1 + random() % 5;
    std::map<std::string, bool> taken;
    for (std::size_t i = random() % 5; i > 0; --i) {
        LeaseReport report = random_report(peer, random);
        if (!taken.emplace(report.key, true).second) continue;
        beat.reports.push_back(std::move(report));
    }
    return beat;
}

void take(Peer& peer, const Beat& beat, const BeatAnswer& answer) {
    if (answer.status == BeatAnswer::Status::stale) return;
    peer.claimed = answer.incarnation;
    if (answer.status == BeatAnswer::Status::unknown) {
        peer.acked = 0;
        return;
    }
    peer.acked = beat.sequence;
    for (std::size_t i = 0; i < beat.reports.size(); ++i) peer.leases[beat.reports[i].key] = answer.leases[i];
}

}  // namespace

TEST_CASE("the script in Redis and its twin answer thousands of random beats alike") {
    if (no_redis()) return;
    RedisServer server;
    PlainRedis client(server.port());
    const auto loaded = client.command({"SCRIPT", "LOAD", std::string(lease_script())});
    REQUIRE(loaded.text == lease_script_sha1());
    std::map<BeatAnswer::Status, int> met;
    int raised = 0, lowered = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        client.command({"FLUSHALL"});
        LeaseStore twin;
        std::mt19937_64 random(seed);
        std::vector<Peer> peers(6);
        for (std::size_t i = 0; i < peers.size(); ++i) peers[i].id = 1000 + i;
        std::int64_t clock = 1'700'000'000'000;
        for (int step = 0; step < 400; ++step) {
            // Mostly small steps, at times one beyond leases and windows, at times one back.
            const std::uint64_t kind = random() % 50;
            clock += static_cast<std::int64_t>(random() % (kind == 0 ? 9000 : kind == 1 ? 70'000 : 300)) - 20;
            Peer& peer = peers[random() % peers.size()];
            const Beat beat = random_beat(peer, random);
            const auto value = client.command(call(lease_script_sha1(), beat, clock));
            const auto real = read_answer(value, beat.reports.size());
            CAPTURE(seed, step, value.text);
            REQUIRE(real);
            const BeatAnswer expected = twin.execute(beat, clock);
            REQUIRE(real->status == expected.status);
            REQUIRE(real->incarnation == expected.incarnation);
            REQUIRE(real->hosts == expected.hosts);
            REQUIRE(real->leases == expected.leases);
            for (std::size_t i = 0; i < real->leases.size(); ++i) {
                raised += real->leases[i] > beat.reports[i].hold;
                lowered += real->leases[i] < beat.reports[i].hold;
            }
            ++met[real->status];
            take(peer, beat, *real);
        }
    }
    // Beats that all meet the same branch would compare nothing.
    CHECK(met[BeatAnswer::Status::granted] > 1000);
    CHECK(met[BeatAnswer::Status::unknown] > 100);
    CHECK(met[BeatAnswer::Status::stale] > 10);
    CHECK(raised > 200);
    CHECK(lowered > 20);
}

TEST_CASE("what a host was charged leaves the store by itself") {
    if (no_redis()) return;
    RedisServer server;
    PlainRedis client(server.port());
    client.command({"SCRIPT", "LOAD", std::string(lease_script())});
    Beat beat;
    beat.host = 7;
    beat.sequence = 1;
    beat.nonce = 42;
    beat.lease_ms = 10;
    beat.margin_ms = 1;
    const auto first = read_answer(client.command(call(lease_script_sha1(), beat, 0)), 0);
    REQUIRE(first);
    CHECK(first->status == BeatAnswer::Status::unknown);
    CHECK(first->incarnation == 42);
    beat.claimed = 42;
    beat.registering = true;
    beat.sequence = 2;
    beat.reports.push_back({0, "a", 10, 20, 0, 0, 3, 3, 3});
    const auto second = read_answer(client.command(call(lease_script_sha1(), beat, 0)), 1);
    REQUIRE(second);
    CHECK(second->leases == std::vector<weir::shm::Units>{3});
    const auto ttl = client.command({"PTTL", "{weir}:a"});
    CHECK(ttl.integer > 0);
    CHECK(ttl.integer <= 2 * 31 + 60'000);
}

TEST_CASE("a host that dies while it registers is forgotten as any other") {
    // In the twin, of which the script has just been seen to do the same.
    LeaseStore store;
    const auto beat = [](std::uint64_t host, std::uint64_t sequence, std::uint64_t claimed) {
        Beat made;
        made.host = host;
        made.sequence = sequence;
        made.claimed = claimed;
        made.nonce = 42;
        made.lease_ms = 1000;
        made.margin_ms = 100;
        made.hosts_expected = 2;
        return made;
    };
    std::int64_t clock = 10'000;
    REQUIRE(store.execute(beat(1, 1, 0), clock).status == BeatAnswer::Status::unknown);
    Beat first = beat(1, 2, 42);
    first.registering = first.more = true;
    first.reports.push_back({0, "a", 100, 5000, 60, 60, 60, 60, 60});
    REQUIRE(store.execute(first, clock).status == BeatAnswer::Status::granted);
    // What was to follow never comes. Until its lease and the window are over, it is charged ...
    std::uint64_t sequence = 0;
    const auto granted_to_other = [&] {
        Beat other = beat(2, ++sequence, 42);
        other.registering = true;
        other.reports.push_back({0, "a", 100, 5000, 0, 0, 100, 100, 100});
        const BeatAnswer answer = store.execute(other, clock);
        REQUIRE(answer.status == BeatAnswer::Status::granted);
        CHECK(answer.hosts == 1);
        return answer.leases[0];
    };
    clock += 1099 + 5000;
    CHECK(granted_to_other() == 40);
    // ... and then no more.
    clock += 1002;
    CHECK(granted_to_other() == 100);
}

TEST_CASE("a host that has registered in part goes on registering, or is unknown") {
    LeaseStore store;
    Beat beat;
    beat.host = 1;
    beat.nonce = 42;
    beat.lease_ms = 1000;
    beat.margin_ms = 100;
    beat.sequence = 1;
    store.execute(beat, 0);
    beat.claimed = 42;
    beat.registering = beat.more = true;
    beat.sequence = 2;
    CHECK(store.execute(beat, 0).status == BeatAnswer::Status::granted);
    beat.registering = beat.more = false;
    beat.sequence = 3;
    CHECK(store.execute(beat, 0).status == BeatAnswer::Status::unknown);
    beat.registering = true;
    beat.sequence = 4;
    CHECK(store.execute(beat, 0).status == BeatAnswer::Status::granted);
    beat.registering = false;
    beat.sequence = 5;
    CHECK(store.execute(beat, 0).status == BeatAnswer::Status::granted);
}

TEST_CASE("what a host does not speak of when it registers it is charged no more") {
    if (!RedisServer::available()) {
        WARN("skipped: there is no redis-server");
        return;
    }
    RedisServer server;
    PlainRedis client(server.port());
    client.command({"SCRIPT", "LOAD", std::string(lease_script())});
    std::int64_t clock = 1'700'000'000'000;
    const auto told = [&](std::uint64_t host, std::uint64_t sequence, std::uint64_t epoch, Beat beat) {
        beat.host = host;
        beat.claimed = 42;
        beat.sequence = sequence;
        beat.epoch = epoch;
        beat.nonce = 42;
        beat.lease_ms = 1000;
        beat.margin_ms = 100;
        clock += 1000;  // limits are swept once a second
        const auto value = client.command(call(lease_script_sha1(), beat, clock));
        const auto answer = read_answer(value, beat.reports.size());
        REQUIRE(answer);
        return *answer;
    };
    const LeaseReport wants_all = {0, "a", 100, 60'000, 0, 0, 100, 100, 100};
    Beat registering;
    registering.registering = true;
    told(7, 1, 1, {});
    Beat takes_sixty = registering;
    takes_sixty.reports = {{0, "a", 100, 60'000, 60, 60, 60, 60, 60}};
    told(7, 2, 2, takes_sixty);
    Beat asks = registering;
    asks.reports = {wants_all};
    CHECK(told(8, 1, 1, asks).leases[0] == 40);
    SECTION("after a whole registration") {
        told(7, 3, 3, registering);
        CHECK(told(8, 2, 2, asks).leases[0] == 100);
    }
    SECTION("not while there is more to come") {
        Beat half = registering;
        half.more = true;
        told(7, 3, 3, half);
        CHECK(told(8, 2, 2, asks).leases[0] == 40);
        told(7, 4, 3, registering);
        CHECK(told(8, 3, 3, asks).leases[0] == 100);
    }
    SECTION("not by any other beat") {
        told(7, 3, 3, {});
        CHECK(told(8, 2, 2, asks).leases[0] == 40);
    }
}
