// Names, their records, and what happens when a table is full.
#include "shm/directory.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "scratch_segment.hpp"
#include "shm/segment.hpp"

using namespace weir::shm;
using weir::shm::test::ScratchName;

namespace {

/// A table of gauges' shape in ordinary memory: the directory knows nothing of segments.
struct Table8 {
    static constexpr std::uint32_t kCount = 8;
    static constexpr std::size_t kTextWords = 29;

    struct Record {
        Word life;
        IdentityRecord<kTextWords> identity;
    };

    std::unique_ptr<Header> header = std::make_unique<Header>();
    std::vector<Word> index = std::vector<Word>(32);
    std::vector<Record> records = std::vector<Record>(kCount);
    TableView view{index.data(),
                   32,
                   reinterpret_cast<std::byte*>(records.data()),
                   kCount,
                   sizeof(Record),
                   offsetof(Record, identity),
                   kTextWords};
    DirectoryWriter writer{*header, Table::gauges, view};
};

/// Evicts what it is told to.
struct Keeper final : RecordKeeper {
    std::set<std::uint32_t> unused;
    int prepared = 0;
    bool idle(std::uint32_t record) noexcept override { return unused.count(record) != 0; }
    bool retire(std::uint32_t record) noexcept override { return idle(record); }
    void prepare(std::uint32_t) noexcept override { ++prepared; }
};

NameKey key(const std::string& name) {
    return scoped_key("test", name, Table8::kTextWords);
}

std::uint64_t load(const Word& word) {
    return word.load(std::memory_order_relaxed);
}  // ORDER(counter)

void store(Word& word, std::uint64_t value) {
    word.store(value, std::memory_order_relaxed);  // ORDER(counter): one thread
}

}  // namespace

TEST_CASE("a key reads back as the names it was made of") {
    LimiterName name{"deployment", "azure/gpt-4", Unit::tokens, std::chrono::hours(24)};
    const NameText text = text_of(window_key(name, 29), 29);
    CHECK(text.scope == "deployment");
    CHECK(text.name == "azure/gpt-4");
    CHECK(text.unit == Unit::tokens);
    CHECK(text.window == std::chrono::hours(24));
}

TEST_CASE("a name longer than its record is cut readably and still told apart") {
    const std::string long_name(1000, 'n');
    const NameKey a = key(long_name + "a");
    const NameKey b = key(long_name + "b");
    CHECK(a.text != b.text);
    CHECK(a.hash != b.hash);
    const std::string shown = text_of(a, Table8::kTextWords).name;
    CHECK(shown.substr(0, 100) == long_name.substr(0, 100));
    CHECK(shown[shown.size() - 33] == '#');
    CHECK(key("").text == key("").text);
}

TEST_CASE("scope and name do not run into each other") {
    CHECK(scoped_key("ab", "c", 29).meta != scoped_key("a", "bc", 29).meta);
    CHECK(scoped_key("ab", "c", 29).hash != scoped_key("a", "bc", 29).hash);
}

TEST_CASE("a garbled key is read within its bounds") {
    NameKey garbled;
    garbled.meta = ~std::uint64_t{0};
    garbled.text.fill(~std::uint64_t{0});
    const NameText text = text_of(garbled, 29);
    CHECK(text.scope.size() + text.name.size() <= 29 * 8);
}

TEST_CASE("a name is made once and found again") {
    Table8 table;
    Keeper keeper;
    CHECK_FALSE(find(table.view, key("a")));
    const auto made = table.writer.make(key("a"), keeper, 0);
    REQUIRE(made);
    CHECK(find(table.view, key("a"))->record == made->record);
    CHECK(table.writer.make(key("a"), keeper, 0)->life == made->life);
    CHECK(keeper.prepared == 1);
    CHECK(load(table.header->work) == 0);
}

TEST_CASE("names with the same hash are kept apart") {
    Table8 table;
    Keeper keeper;
    NameKey a = key("a");
    NameKey b = key("b");
    b.hash = a.hash;
    const auto first = table.writer.make(a, keeper, 0);
    const auto second = table.writer.make(b, keeper, 0);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->record != second->record);
    CHECK(find(table.view, a)->record == first->record);
    CHECK(find(table.view, b)->record == second->record);
}

TEST_CASE("a full table evicts what is idle and ends old handles by their generation") {
    Table8 table;
    Keeper keeper;
    std::vector<Found> made;
    for (std::uint32_t i = 0; i < Table8::kCount; ++i) {
        made.push_back(*table.writer.make(key("n" + std::to_string(i)), keeper, 0));
    }
    CHECK_FALSE(table.writer.make(key("more"), keeper, 1));
    keeper.unused = {5};
    // For a moment nobody searches again.
    CHECK_FALSE(table.writer.make(key("more"), keeper, 2));
    const auto more = table.writer.make(key("more"), keeper, 1'000'000'000);
    REQUIRE(more);
    CHECK(more->record == 5);
    CHECK(more->life != made[5].life);
    CHECK_FALSE(find(table.view, key("n5")));
    CHECK(find(table.view, key("n4")));
    CHECK(load(table.header->tables[1].evictions) == 1);
}

TEST_CASE("thousands of names pass through a small table without losing the lasting ones") {
    Table8 table;
    Keeper keeper;
    REQUIRE(table.writer.make(key("lasting"), keeper, 0));
    for (std::uint32_t i = 1; i < Table8::kCount; ++i) keeper.unused.insert(i);
    for (int i = 0; i < 5000; ++i) {
        const std::string name = "passing" + std::to_string(i);
        REQUIRE(table.writer.make(key(name), keeper, 0));
        REQUIRE(find(table.view, key(name)));
        REQUIRE(find(table.view, key("lasting")));
    }
    std::size_t entries = 0;
    for (const Word& word : table.index) {
        const std::uint64_t low = load(word) & 0xffff'ffff;
        if (low >= 1 && low <= Table8::kCount) ++entries;
    }
    CHECK(entries == Table8::kCount);
}

TEST_CASE("what a dead maker left is tidied up, whatever it had got to") {
    const auto begun = [](Table8& table, std::uint32_t record) {
        store(table.header->work, (std::uint64_t{1} << 32 | record) + 1);
    };
    Table8 table;
    Keeper keeper;
    const Found live = *table.writer.make(key("live"), keeper, 0);
    const Found other = *table.writer.make(key("other"), keeper, 0);

    SECTION("while it was looking whether a record is idle: nothing has changed") {
        begun(table, live.record);
        store(table.view.life(live.record), (live.life & ~std::uint64_t{0xff}) | Life::checking);
        CHECK_FALSE(find(table.view, key("live")));
        const auto work = unfinished(*table.header);
        REQUIRE(work);
        CHECK(work->table == Table::gauges);
        table.writer.repair(work->record);
        CHECK(find(table.view, key("live"))->life == live.life);
    }
    SECTION("while it was building: the record is free again") {
        begun(table, other.record);
        store(table.view.life(other.record), (other.life & ~std::uint64_t{0xff}) | Life::building);
        table.writer.repair(other.record);
        CHECK_FALSE(find(table.view, key("other")));
        CHECK(find(table.view, key("live")));
        CHECK(Life::state_of(load(table.view.life(other.record))) == Life::free);
        for (std::uint32_t i = 2; i < Table8::kCount; ++i) {
            REQUIRE(table.writer.make(key("n" + std::to_string(i)), keeper, 0));
        }
        const auto again = table.writer.make(key("again"), keeper, 0);
        REQUIRE(again);
        CHECK(again->record == other.record);
        CHECK(again->life != other.life);
    }
    SECTION("with garbage for a note") {
        store(table.header->work, ~std::uint64_t{0});
        CHECK_FALSE(unfinished(*table.header));
        table.writer.repair(12345);
        CHECK(load(table.header->work) == 0);
    }
}

TEST_CASE("a full segment says so, and idle limiters make room") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const Nanos t = now();
    std::vector<Limiter> limiters;
    try {
        for (int i = 0; i < 10'000; ++i) {
            limiters.push_back(segment.limiter({"key", "k" + std::to_string(i)}, 10));
            const Charge charge{limiters.back(), 1};
            REQUIRE(me.admit({{&charge, 1}, {}}, t).admitted());
        }
        FAIL("10,000 limiters in 1 MiB");
    } catch (const DirectoryFull& full) {
        CHECK(std::string(full.what()).find("segment_size") != std::string::npos);
    }
    CHECK(limiters.size() >= 256);
    CHECK(segment.limiters(t).size() == limiters.size());
    const Charge charge{limiters[7], 1};
    CHECK(me.admit({{&charge, 1}, {}}, t).admitted());
}

TEST_CASE("an evicted limiter's old handle is refused and its ticket changes nothing") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const LimiterName old_name{"key", "old", Unit::requests, std::chrono::milliseconds(10)};
    const Limiter old = segment.limiter(old_name, 10);
    const Charge charge{old, 4};
    Admission admission = me.admit({{&charge, 1}, {}}, now());
    REQUIRE(admission.admitted());
    // Others fill the table; once the window has passed, the old one is the only idle limiter.
    const Nanos until = now() + std::chrono::seconds(5);
    Limiter taker;
    for (int i = 0; now() < until && taker.record != old.record; ++i) {
        try {
            taker = segment.limiter({"key", "n" + std::to_string(i)}, 10);
            me.charge(taker, 1, now());
        } catch (const DirectoryFull&) {
        }
    }
    REQUIRE(taker.record == old.record);
    REQUIRE(taker.generation != old.generation);
    CHECK(me.admit({{&charge, 1}, {}}, now()).refusal.reason == Refused::evicted);
    CHECK_FALSE(me.would_admit({{&charge, 1}, {}}, now()));
    CHECK_FALSE(me.earliest({{&charge, 1}, {}}, now()));
    admission.ticket.settle(0, 0, now());
    CHECK(me.usage(taker, now()).used == 1);
    CHECK(me.usage(old, now()).limit == 0);
    segment.set_limit(old, 1);
    CHECK(me.usage(taker, now()).limit == 10);
    // A reused record limits as exactly as a fresh one.
    const Charge nine{taker, 9};
    CHECK(me.admit({{&nine, 1}, {}}, now()).admitted());
    const Charge one{taker, 1};
    const Demand demand{{&one, 1}, {}};
    const Nanos t = now();
    CHECK_FALSE(me.admit(demand, t).admitted());
    const auto when = me.earliest(demand, t);
    REQUIRE(when);
    CHECK_FALSE(me.would_admit(demand, *when - Nanos(1)));
    CHECK(me.would_admit(demand, *when));
    CHECK(*when <= t + std::chrono::seconds(62));
}

TEST_CASE("an idle gauge makes way for another name, one with something in flight does not") {
    const ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("me");
    const auto admit = [&](const Gauge& gauge) { return me.admit({{}, {&gauge, 1}}, now()); };
    const Gauge busy = segment.gauge("key", "busy", 1);
    const Gauge idle = segment.gauge("key", "idle", 1);
    Admission admission = admit(busy);
    REQUIRE(admission.admitted());
    REQUIRE(admit(idle).admitted());  // and given back
    for (int i = 0; i < 200; ++i) {
        const std::string name = "n" + std::to_string(i);
        CHECK(admit(segment.gauge("key", name, 1)).admitted());
    }
    CHECK(admit(idle).refusal.reason == Refused::evicted);
    CHECK_FALSE(me.would_admit({{}, {&idle, 1}}, now()));
    CHECK(me.in_flight(busy) == 1);
    CHECK(admit(busy).refusal.reason == Refused::in_flight);

    // With something in flight everywhere there is no room, until one of them ends.
    std::vector<Admission> held;
    const auto fill = [&] {
        for (int i = 0;; ++i) held.push_back(admit(segment.gauge("user", "u" + std::to_string(i), 2)));
    };
    CHECK_THROWS_AS(fill(), DirectoryFull);
    REQUIRE_FALSE(held.empty());
    for (const Admission& one : held) CHECK(one.admitted());
    admission.ticket.close();
    Gauge last;
    const Nanos until = now() + std::chrono::seconds(5);
    while (!last && now() < until) {  // a table that was full is searched again a little later
        try {
            last = segment.gauge("key", "last", 5);
        } catch (const DirectoryFull&) {
        }
    }
    REQUIRE(last);
    CHECK(last.record == busy.record);
    CHECK(admit(busy).refusal.reason == Refused::evicted);
    CHECK(me.in_flight(last) == 0);
    CHECK(admit(last).admitted());
}
