// Who is awake, who sleeps, and what that spares. lease_host_test.cpp has what comes of it in beats.
#include "router/redis/lease_roster.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "tests/unit/router/many_limits.hpp"

using namespace std::chrono_literals;
using namespace weir::router;
using weir::router::test::ManyLimits;
using weir::shm::Nanos;

namespace {

struct Stand {
    ManyLimits crowd;
    LeaseRoster roster{crowd, 20ms};
    Nanos now = 100s;
    explicit Stand(std::size_t count) : crowd(count) {
        for (std::size_t i = 0; i < count; ++i) add(i);
        for (int i = 0; i < 30; ++i) turn();
    }
    void add(std::size_t number) { roster.add({number, std::to_string(number), 60s, false}); }
    void turn(Nanos time = 100ms) {
        now += time;
        roster.look(now, 1);
        roster.let_sleep(now);
    }
};

}  // namespace

TEST_CASE("a few limits are all looked at in every turn") {
    Stand stand(60);
    CHECK(stand.roster.awake().size() == 60);
    stand.crowd.reads = 0;
    stand.turn(1ms);
    CHECK(stand.crowd.reads == 60);
}

TEST_CASE("of many those sleep that nobody uses, and are looked at once a second") {
    Stand stand(2000);
    CHECK(stand.roster.awake().empty());
    stand.crowd.reads = 0;
    for (int i = 0; i < 10; ++i) stand.turn();
    CHECK(stand.crowd.reads >= 2000);
    CHECK(stand.crowd.reads <= 2020);
    CHECK(stand.roster.next_look(stand.now) > stand.now + 50ms);
}

TEST_CASE("one that holds something, or is wanted, is awake") {
    Stand stand(2000);
    stand.crowd.words[5].lease = 1;
    stand.crowd.words[6].wanted = 1;
    for (int i = 0; i < 10; ++i) stand.turn();
    CHECK(stand.roster.awake().size() == 2);
    CHECK(stand.roster.find(5)->awake);
    CHECK(stand.roster.find(6)->awake);
}

TEST_CASE("who is wanted by somebody who waits is awake in the next turn that may search") {
    Stand stand(2000);
    stand.crowd.words[1999].wanted = 1;
    stand.roster.somebody_waits();
    const Nanos at = stand.roster.next_look(stand.now);
    CHECK(at <= stand.now + 2ms);  // 2,000 times 100 ns, for a tenth of the time
    stand.turn(at - stand.now);
    CHECK(stand.roster.find(1999)->awake);
}

TEST_CASE("many who are awake are looked at when they are wanted, otherwise eight times in a unit") {
    Stand stand(500);
    for (auto& words : stand.crowd.words) words.lease = 1;
    for (int i = 0; i < 20; ++i) stand.turn();
    REQUIRE(stand.roster.awake().size() == 500);
    stand.turn(130ms);
    stand.crowd.reads = 0;
    for (int i = 0; i < 100; ++i) stand.turn(1ms);
    CHECK(stand.crowd.reads == 0);
    stand.crowd.words[7].used = stand.crowd.words[7].wanted = 1;
    stand.turn(1ms);
    CHECK(stand.crowd.reads == 1);
    CHECK(stand.roster.find(7)->presses);
    stand.turn(130ms);
    CHECK(stand.crowd.reads >= 500);
}

TEST_CASE("who comes and goes leaves the others where they are") {
    constexpr std::size_t kMost = 300;
    Stand stand(kMost);
    std::mt19937_64 random(7);
    std::set<std::size_t> here;
    for (std::size_t i = 0; i < kMost; ++i) here.insert(i);
    for (int step = 0; step < 3000; ++step) {
        const std::size_t number = random() % kMost;
        if (random() % 3 == 0) stand.crowd.words[number].wanted += 1;
        if (random() % 3 == 0) stand.crowd.words[number].relieved = stand.crowd.words[number].wanted;
        if (random() % 20 == 0) stand.roster.somebody_waits();
        if (random() % 400 == 0) stand.roster.wake_all(stand.now, 1);
        if (here.contains(number)) {
            stand.roster.remove(*stand.roster.find(number));
            here.erase(number);
        } else {
            stand.add(number);
            here.insert(number);
        }
        stand.turn(Nanos(static_cast<std::int64_t>(random() % 300'000'000)));
        REQUIRE(stand.roster.all().size() == here.size());
        std::set<std::size_t> awake;
        for (const auto* entry : stand.roster.awake()) {
            REQUIRE(entry->awake);
            REQUIRE(awake.insert(entry->subject.limit).second);
        }
        REQUIRE(std::all_of(here.begin(), here.end(), [&](std::size_t one) {
            return stand.roster.find(one) && stand.roster.find(one)->awake == awake.contains(one);
        }));
    }
    CHECK(stand.roster.awake().size() < here.size());
}
