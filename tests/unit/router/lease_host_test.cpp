// The state machine step by step; tests/model/lease_simulation_test.cpp has what it promises in the large.
#include "router/redis/lease_host.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/router/many_limits.hpp"

using namespace std::chrono_literals;
using namespace weir::router;
using weir::router::test::ManyLimits;
using weir::shm::LeaseMode;
using weir::shm::LeaseReading;
using weir::shm::Nanos;
using weir::shm::Units;

namespace {

struct Words final : LeaseAccess {
    LeaseReading words{100, 0, 0, 0, 0, 0};
    Nanos barren{};
    int raises = 0;
    LeaseReading read(std::size_t, Nanos) override { return words; }
    std::uint64_t wanted(std::size_t) override { return words.wanted; }
    void set_lease(std::size_t, Units lease, Nanos) override { words.lease = lease; }
    void set_barren(std::size_t, Nanos until) override { barren = until; }
    void raised() override { ++raises; }
};

LeaseRules rules_of(FailMode mode) {
    LeaseRules rules;
    rules.host = 7;
    rules.fail_mode = mode;
    rules.hosts_expected = 4;
    return rules;
}

BeatAnswer answer(BeatAnswer::Status status, std::vector<Units> leases = {}) {
    return {status, 99, 2, std::move(leases)};
}

struct Stand {
    Words words;
    LeaseHost host;
    explicit Stand(FailMode mode, const weir::shm::LeaseContact& contact = {}, Nanos now = 100s)
        : host(rules_of(mode), words, contact, now) {
        host.add({0, "a", 60s, true});
    }
    /// Registers, with a lease of `lease`.
    void begin(Units lease) {
        words.words.wanted = 1;
        REQUIRE(host.poll(100s, 5));
        REQUIRE(host.answered(answer(BeatAnswer::Status::unknown), 100s + 1ms));
        const auto beat = host.poll(100s + 1ms, 6);
        REQUIRE(beat);
        CHECK(beat->registering);
        CHECK(beat->claimed == 99);
        REQUIRE(beat->reports.size() == 1);
        REQUIRE(host.answered(answer(BeatAnswer::Status::granted, {lease}), 100s + 2ms));
        words.words.relieved = 1;
    }
};

}  // namespace

TEST_CASE("a host introduces itself, registers, and holds what it is given") {
    Stand stand(FailMode::share);
    stand.begin(30);
    CHECK(stand.words.words.lease == 30);
    CHECK(stand.words.raises == 1);
    CHECK(stand.host.contact().mode == LeaseMode::shared);
    CHECK(stand.host.contact().until == 100s + 1ms + 15s);  // from when the beat was sent
    CHECK(stand.host.contact().hosts == 2);
    CHECK_FALSE(stand.host.poll(100s + 3ms, 7));
}

TEST_CASE("a lease is renewed five seconds before it ends, with a later number each time") {
    Stand stand(FailMode::share);
    stand.begin(30);
    stand.words.words.used = 30;
    std::uint64_t last = stand.host.contact().sequence;
    for (Nanos now = 101s; now < 160s; now += 100ms) {
        stand.words.words.charged += 5;  // in use
        const auto beat = stand.host.poll(now, 8);
        if (!beat) continue;
        CHECK(beat->sequence > last);
        last = beat->sequence;
        REQUIRE(stand.host.answered(answer(BeatAnswer::Status::granted, {30}), now + 1ms));
    }
    CHECK(last >= 7);
    CHECK(last <= 12);
    CHECK(LeaseTiming{.lease = 3s}.renew() == 1s);  // a short one after a third of its time
}

TEST_CASE("without contact each fail mode does what it says, exactly when the lease ends") {
    const auto lost = [](FailMode mode, Nanos at) {
        Stand stand(mode);
        stand.begin(60);
        stand.words.words.used = 60;
        for (Nanos now = 101s; now <= at; now += 100ms) {
            stand.words.words.charged += 5;
            if (stand.host.poll(now, 8)) stand.host.failed(now + 50ms);
        }
        return std::pair(stand.words.words.lease, stand.host.contact().mode);
    };
    for (const FailMode mode : {FailMode::share, FailMode::closed, FailMode::open}) {
        CHECK(lost(mode, 114s + 900ms) == std::pair<Units, LeaseMode>(60, LeaseMode::shared));
    }
    CHECK(lost(FailMode::closed, 115s + 100ms) == std::pair<Units, LeaseMode>(0, LeaseMode::closed));
    CHECK(lost(FailMode::open, 115s + 100ms) == std::pair<Units, LeaseMode>(100, LeaseMode::open));
    CHECK(lost(FailMode::share, 115s + 100ms) == std::pair<Units, LeaseMode>(25, LeaseMode::share));
}

TEST_CASE("while the store fails nobody waits for it, and once it answers they do again") {
    Stand stand(FailMode::share);
    stand.begin(30);
    const Nanos end = stand.host.contact().until;
    const int raises = stand.words.raises;
    const auto send = [&](Nanos from) {
        for (Nanos now = from; now < from + 30s; now += 10ms) {
            stand.words.words.charged += 1;
            if (stand.host.poll(now, 8)) return now;
        }
        return Nanos(0);
    };
    const Nanos first = send(101s);
    REQUIRE(first < end);
    stand.host.failed(first + 500ms);
    CHECK(stand.words.barren > first + 550ms);   // beyond the next attempt
    CHECK(stand.words.raises == raises + 1);     // whoever waits may go
    const Nanos second = send(first + 510ms);
    CHECK(second >= first + 550ms);
    REQUIRE(stand.host.answered(answer(BeatAnswer::Status::granted, {30}), second + 1ms));
    CHECK(stand.words.barren == Nanos(0));
}

TEST_CASE("a share is taken in full only when the others' leases have left the window") {
    Stand stand(FailMode::share);
    stand.begin(10);
    auto lease_at = [&, now = 101s + 0ms](Nanos at) mutable {
        for (; now <= at; now += 100ms) {
            stand.words.words.charged += 5;
            if (stand.host.poll(now, 8)) stand.host.failed(now + 50ms);
        }
        return stand.words.words.lease;
    };
    CHECK(lease_at(116s) == 10);
    CHECK(lease_at(189s) == 10);
    CHECK(lease_at(190s + 200ms) == 25);  // 115 s, and the window, and a lease
}

TEST_CASE("what the host says after it was without contact") {
    Stand stand(FailMode::share);
    stand.begin(60);
    stand.words.words.used = 60;
    for (Nanos now = 101s; now < 120s; now += 100ms) {
        stand.words.words.charged += 5;
        if (stand.host.poll(now, 8)) stand.host.failed(now + 50ms);
    }
    const auto beat = stand.host.poll(121s, 9);
    REQUIRE(beat);
    CHECK(beat->failed);
    REQUIRE(stand.host.answered(answer(BeatAnswer::Status::unknown), 121s + 1ms));
    CHECK(stand.host.contact().mode == LeaseMode::share);
    const auto all = stand.host.poll(121s + 1ms, 9);
    REQUIRE(all);
    CHECK(all->registering);
    CHECK(all->failed);
    REQUIRE(all->reports.size() == 1);
    CHECK(all->reports[0].hold == 25);
    CHECK(all->reports[0].used == 60);
    REQUIRE(stand.host.answered(answer(BeatAnswer::Status::granted, {40}), 121s + 2ms));
    CHECK(stand.host.contact().mode == LeaseMode::shared);
    CHECK(stand.words.words.lease == 40);
}

TEST_CASE("a host that has never had contact rests for a moment, then takes its share") {
    Stand stand(FailMode::share);
    stand.words.words.lease = 80;  // of an earlier life
    stand.host.poll(100s, 5);
    stand.host.failed(100s + 50ms);
    CHECK(stand.words.words.lease == 0);
    CHECK(stand.host.contact().mode == LeaseMode::local);
    const auto beat = stand.host.poll(101s, 5);
    CHECK(stand.words.words.lease == 25);
    CHECK(stand.host.contact().mode == LeaseMode::share);
    // Should the store answer this very beat, it must know of the share.
    REQUIRE(beat);
    REQUIRE(beat->reports.size() == 1);
    CHECK(beat->reports[0].hold == 25);
}

TEST_CASE("what a beat under way says that a host holds is not outrun") {
    const FailMode mode = GENERATE(FailMode::share, FailMode::open);
    Stand stand(mode);
    stand.host.poll(100s, 5);
    stand.host.failed(100s + 800ms);
    REQUIRE(stand.host.poll(100s + 900ms, 6));
    stand.host.poll(101s + 100ms, 7);
    CHECK(stand.host.contact().mode == mode_without_contact(mode));
    CHECK(stand.words.words.lease == 0);
    stand.host.failed(101s + 300ms);
    stand.host.poll(101s + 400ms, 8);
    CHECK(stand.words.words.lease == (mode == FailMode::share ? 25 : 100));
}

TEST_CASE("a registration that may have arrived counts as contact, and the share is taken as much later") {
    Stand stand(FailMode::share);
    stand.begin(10);
    Nanos now = 101s;
    const auto go_to = [&](Nanos end) {
        for (; now <= end; now += 100ms) {
            stand.words.words.charged += 5;
            if (stand.host.poll(now, 8)) stand.host.failed(now + 50ms);
        }
    };
    go_to(150s);
    std::optional<Beat> beat;
    for (; !(beat = stand.host.poll(now, 8)); now += 100ms) continue;
    REQUIRE(stand.host.answered(answer(BeatAnswer::Status::unknown), now));
    const Nanos sent = now;
    beat = stand.host.poll(now, 8);
    REQUIRE(beat);
    REQUIRE(beat->registering);
    stand.host.failed(now + 50ms);
    go_to(sent + 15s + 60s + 14s);
    CHECK(stand.words.words.lease == 10);
    go_to(sent + 15s + 60s + 15s + 200ms);
    CHECK(stand.words.words.lease == 25);
}

TEST_CASE("another coordinator goes on where one has died") {
    weir::shm::LeaseContact contact;
    contact.mode = LeaseMode::shared;
    contact.until = 110s;
    contact.answered = 95s;
    contact.incarnation = 99;
    contact.sequence = 41;
    contact.sent = 43;
    contact.seen = 99s;
    Stand stand(FailMode::share, contact);
    stand.words.words.lease = 30;
    const auto beat = stand.host.poll(100s, 5);
    REQUIRE(beat);
    CHECK(stand.words.words.lease == 30);
    CHECK(beat->claimed == 99);
    CHECK(beat->sequence == 44);
    CHECK(beat->acked == 41);
    CHECK_FALSE(beat->registering);
    SECTION("an answer that comes after the lease would have ended is none") {
        CHECK_FALSE(stand.host.answered(answer(BeatAnswer::Status::granted, {50}), 115s));
        CHECK(stand.words.words.lease == 30);
    }
    SECTION("and tells everything anew, for it does not know what the other was charged for") {
        REQUIRE(stand.host.answered(answer(BeatAnswer::Status::granted, {30}), 100s + 1ms));
        const auto all = stand.host.poll(100s + 2ms, 6);
        REQUIRE(all);
        CHECK(all->registering);
        CHECK(all->epoch == all->sequence);
        REQUIRE(all->reports.size() == 1);
        CHECK(all->reports[0].hold == 30);
        REQUIRE(stand.host.answered(answer(BeatAnswer::Status::granted, {30}), 100s + 3ms));
        CHECK_FALSE(stand.host.poll(100s + 4ms, 7));
    }
}

TEST_CASE("many limits are registered in several beats") {
    Words words;
    words.words.used = 3;
    LeaseHost host(rules_of(FailMode::share), words, {}, 100s);
    for (std::size_t i = 0; i < 1200; ++i) host.add({i, std::to_string(i), 60s, false});
    REQUIRE(host.poll(100s, 5));
    REQUIRE(host.answered(answer(BeatAnswer::Status::unknown), 100s));
    std::size_t reported = 0, beats = 0;
    for (bool more = true; more; ++beats) {
        const auto beat = host.poll(100s, 5);
        REQUIRE(beat);
        CHECK(beat->registering);
        more = beat->more;
        reported += beat->reports.size();
        REQUIRE(host.answered(
            answer(BeatAnswer::Status::granted, std::vector<Units>(beat->reports.size(), 0)), 100s));
    }
    CHECK(beats == 3);
    CHECK(reported == 1200);
    CHECK(host.contact().mode == LeaseMode::shared);
}

TEST_CASE("of more limits than a beat holds every one is reported, again and again") {
    // In flight, and always as many: nothing ever happens that would be worth a word.
    constexpr std::size_t kLimits = 1300;
    Words words;
    words.words.lease = words.words.used = 1;
    LeaseHost host(rules_of(FailMode::share), words, {}, 100s);
    for (std::size_t i = 0; i < kLimits; ++i) host.add({i, std::to_string(i), 0s, false});
    REQUIRE(host.poll(100s, 5));
    REQUIRE(host.answered(answer(BeatAnswer::Status::unknown), 100s));
    std::vector<Nanos> reported(kLimits);
    Nanos longest{};
    std::size_t beats = 0;
    for (Nanos now = 100s; now < 400s; now += 50ms) {
        words.words.used = words.words.lease = 1;
        const auto beat = host.poll(now, 5);
        if (!beat) continue;
        ++beats;
        for (const LeaseReport& report : beat->reports) {
            if (reported[report.limit] != 0s) longest = std::max(longest, now - reported[report.limit]);
            reported[report.limit] = now;
        }
        REQUIRE(host.answered(
            answer(BeatAnswer::Status::granted, std::vector<Units>(beat->reports.size(), 1)), now));
    }
    for (const Nanos at : reported) CHECK(at > 350s);
    CHECK(longest < 45s);  // the store forgets what it has not heard of for 60 s and two leases
    CHECK(beats < 100);
}

TEST_CASE("a limit that is gone while the store charges for it is given back") {
    Stand stand(FailMode::share);
    stand.begin(30);
    stand.host.remove(0);
    auto beat = stand.host.poll(100s + 10ms, 7);
    REQUIRE(beat);
    REQUIRE(beat->reports.size() == 1);
    CHECK(beat->reports[0].key == "a");
    CHECK(beat->reports[0].window_ms == 60'000);
    CHECK(beat->reports[0].hold == 0);
    CHECK(beat->reports[0].used == 0);
    SECTION("until it is known") {
        stand.host.failed(100s + 20ms);
        beat = stand.host.poll(100s + 200ms, 8);
        REQUIRE(beat);
        CHECK(beat->reports.size() == 1);
    }
    REQUIRE(stand.host.answered(answer(BeatAnswer::Status::granted, {0}), 100s + 210ms));
    CHECK_FALSE(stand.host.poll(100s + 220ms, 9));
}

TEST_CASE("a new limit does not make a registration begin anew") {
    Words words;
    words.words.lease = words.words.used = 3;
    LeaseHost host(rules_of(FailMode::share), words, {}, 100s);
    std::size_t limits = 0;
    const auto grow = [&](std::size_t count) {
        for (; limits < count; ++limits) host.add({limits, std::to_string(limits), 60s, false});
    };
    grow(1400);
    REQUIRE(host.poll(100s, 5));
    REQUIRE(host.answered(answer(BeatAnswer::Status::unknown), 100s));
    std::size_t beats = 0;
    for (bool more = true; more && beats < 20; ++beats) {
        const auto beat = host.poll(100s, 5);
        REQUIRE(beat);
        more = beat->more;
        REQUIRE(host.answered(
            answer(BeatAnswer::Status::granted, std::vector<Units>(beat->reports.size(), 3)), 100s));
        grow(limits + 20);
    }
    CHECK(beats == 3);
    CHECK(host.contact().mode == LeaseMode::shared);
}

namespace {

/// A host with so many limits that it lets them sleep, registered, and idle for a while.
struct Sleepers {
    ManyLimits crowd;
    LeaseHost host{rules_of(FailMode::share), crowd, {}, 100s};
    Nanos now = 100s;
    explicit Sleepers(std::size_t count) : crowd(count) {
        for (std::size_t i = 0; i < count; ++i) host.add({i, std::to_string(i), 60s, false});
        REQUIRE(host.poll(now, 5));
        REQUIRE(host.answered(answer(BeatAnswer::Status::unknown), now));
        rest(5s);
    }
    /// Answers every beat with what it asks for.
    std::optional<Beat> poll() {
        const auto beat = host.poll(now, 6);
        if (!beat) return beat;
        std::vector<Units> leases;
        for (const LeaseReport& report : beat->reports) leases.push_back(std::max(report.hold, report.need));
        REQUIRE(host.answered(answer(BeatAnswer::Status::granted, leases), now));
        return beat;
    }
    void rest(Nanos time) {
        for (const Nanos end = now + time; now < end; now += 100ms) poll();
    }
};

}  // namespace

TEST_CASE("thousands of limits that nobody uses cost little") {
    Sleepers sleepers(5000);
    sleepers.crowd.reads = 0;
    sleepers.rest(10s);
    CHECK(sleepers.crowd.reads > 9 * 5000);  // each once a second
    CHECK(sleepers.crowd.reads < 12 * 5000);
    sleepers.crowd.reads = 0;
    for (int i = 0; i < 1000; ++i, sleepers.now += 100us) sleepers.poll();
    CHECK(sleepers.crowd.reads < 5000);
}

TEST_CASE("a limit that sleeps is found when somebody waits for it") {
    Sleepers sleepers(1000);
    sleepers.crowd.words[777].wanted = 1;
    SECTION("at once if that is said") {
        sleepers.host.somebody_waits();
        CHECK(sleepers.host.next_poll(sleepers.now) <= sleepers.now + 1ms);
        const auto beat = sleepers.poll();
        REQUIRE(beat);
        REQUIRE(beat->reports.size() == 1);
        CHECK(beat->reports[0].key == "777");
        CHECK(beat->reports[0].need == 1);
        CHECK(sleepers.crowd.words[777].lease == 1);
    }
    SECTION("not too often, but as soon as may be") {
        sleepers.host.somebody_waits();
        sleepers.poll();
        sleepers.crowd.words[555].wanted = 1;
        sleepers.host.somebody_waits();
        const Nanos at = sleepers.host.next_poll(sleepers.now);
        CHECK(at > sleepers.now);
        CHECK(at <= sleepers.now + 2ms);
        sleepers.now = at;
        CHECK(sleepers.poll());
        CHECK(sleepers.crowd.words[555].lease == 1);
    }
    SECTION("within a second if nobody could say it") {
        sleepers.rest(1100ms);
        CHECK(sleepers.crowd.words[777].lease == 1);
    }
}

TEST_CASE("what a limit that sleeps has used is given back as it leaves the window") {
    Sleepers sleepers(1000);
    auto& words = sleepers.crowd.words[42];
    words.wanted = 40;
    sleepers.host.somebody_waits();
    REQUIRE(sleepers.poll());
    REQUIRE(words.lease == 40);
    words.relieved = words.used = words.charged = 40;
    sleepers.rest(5s);
    CHECK(words.lease == 0);
    words.used = 0;
    std::vector<LeaseReport> told;
    for (const Nanos end = sleepers.now + 3s; sleepers.now < end; sleepers.now += 100ms) {
        if (const auto beat = sleepers.poll()) {
            told.insert(told.end(), beat->reports.begin(), beat->reports.end());
        }
    }
    REQUIRE(told.size() == 1);
    CHECK(told[0].key == "42");
    CHECK(told[0].used == 0);
}

TEST_CASE("without contact every limit is awake, however many there are") {
    Sleepers sleepers(1000);
    for (const Nanos end = sleepers.now + 40s; sleepers.now < end; sleepers.now += 100ms) {
        if (sleepers.host.poll(sleepers.now, 7)) sleepers.host.failed(sleepers.now);
    }
    CHECK(sleepers.host.contact().mode == LeaseMode::share);
    for (auto& words : sleepers.crowd.words) words.lease = 25;  // by another process, say
    const auto beat = sleepers.host.poll(sleepers.now + 2s, 8);
    REQUIRE(beat);
    CHECK(beat->reports.size() == 500);
    CHECK(beat->reports[0].hold == 25);
}
