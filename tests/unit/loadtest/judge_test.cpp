#include "loadtest/judge.hpp"

#include <catch2/catch.hpp>

#include "recorded_run.hpp"

using namespace weir::loadtest;
using namespace weir::loadtest::test;
using namespace std::chrono_literals;

TEST_CASE("exactly what is expected holds") {
    CHECK(judge_batches({batch(0s, 200)}, expecting(200)) == Faults{});
    CHECK(judge_batches({batch(0s, 200), batch(10s, 0), batch(20s, 0)}, expecting(200)) == Faults{});
    CHECK(judge_batches({batch(0s, 200), batch(61s, 200)}, expecting(200)) == Faults{});
}

TEST_CASE("one success too many breaks the limit") {
    CHECK(judge_batches({batch(0s, 201)}, expecting(200)) == Faults{Fault::limit_broken});
    CHECK(judge_batches({batch(0s, 200), batch(10s, 1)}, expecting(200)) == Faults{Fault::limit_broken});
    // What is over is told before what was refused too soon.
    CHECK(judge_batches({batch(0s, 150), batch(20s, 30), batch(40s, 21)}, expecting(200)) ==
          Faults{Fault::limit_broken, Fault::unused});
    CHECK(judge_batches({batch(0s, 100, 100), batch(20s, 50, 50), batch(40s, 51, 51)}, expecting(200)) ==
          Faults{Fault::limit_broken});
}

TEST_CASE("a broken limit is told with its figures") {
    const std::vector batches{batch(0s, 200), batch(10s, 1)};
    CHECK(judge(batches, {}, expecting(200)).findings[0].text ==
          "batch 2 ended with 201 successes within 60 s, the limit is 200");
}

TEST_CASE("batches count together only if all of both lies within less than a window") {
    // From the start of the first to the end of the second is exactly 60 s: the first unit can have come
    // back.
    CHECK(judge_batches({batch(0s, 200), batch(59900ms, 200)}, expecting(200)) == Faults{});
    CHECK(judge_batches({batch(0s, 200), batch(59900ms - 1ns, 200)}, expecting(200)) ==
          Faults{Fault::limit_broken});
}

TEST_CASE("a batch longer than the window may have more than a window's successes") {
    Batch slow = batch(0s, 390);
    slow.end = 60s;
    CHECK(judge_batches({slow}, expecting(200)) == Faults{});
    slow.end = 60s - 1ns;
    CHECK(judge_batches({slow}, expecting(200)) == Faults{Fault::limit_broken});
}

TEST_CASE("a limit without an expectation is an upper bound only") {
    Rules rules = nothing_expected();
    rules.limit = 200;
    CHECK(judge_batches({batch(0s, 10)}, rules) == Faults{});
    CHECK(judge_batches({batch(0s, 200)}, rules) == Faults{});
    CHECK(judge_batches({batch(0s, 201)}, rules) == Faults{Fault::limit_broken});
}

TEST_CASE("one success too few while requests were refused is capacity unused") {
    CHECK(judge_batches({batch(0s, 199)}, expecting(200)).front() == Fault::unused);
    CHECK(judge_batches({batch(0s, 200), batch(70s, 199)}, expecting(200)) == Faults{Fault::unused});
}

TEST_CASE("unused capacity is told with its figures") {
    const std::vector batches{batch(0s, 120, 120), batch(10s, 79)};
    CHECK(judge(batches, {}, expecting(200)).findings[0].text ==
          "batch 2: 79 successes and 521 refusals, although the window had room for 80");
}

TEST_CASE("a refusal is just until the longest window is over") {
    // The window covers up to 60 s + 60/62 s. The first batch ends at 0.1 s.
    const Nanos last_just = 100ms + kWindow + kWindow / 62;
    CHECK(judge_batches({batch(0s, 200), batch(last_just, 0)}, expecting(200)) == Faults{});
    CHECK(judge_batches({batch(0s, 200), batch(last_just + 1ms, 0)}, expecting(200)) ==
          Faults{Fault::unused});
    CHECK(judge_batches({batch(0s, 200), batch(last_just + 1ms, 200)}, expecting(200)) == Faults{});
}

TEST_CASE("between one window and the longest window anything up to the limit is right") {
    for (const std::uint64_t successes : {0u, 1u, 100u, 200u}) {
        CHECK(judge_batches({batch(0s, 200), batch(60500ms, successes)}, expecting(200)) == Faults{});
    }
    CHECK(judge_batches({batch(0s, 200), batch(60500ms, 201)}, expecting(200)) ==
          Faults{Fault::limit_broken});
}

TEST_CASE("a run that never reaches what is expected shows nothing") {
    CHECK(judge_batches({batch(0s, 150, 150)}, expecting(200)) == Faults{Fault::too_few});
    CHECK(judge_batches({batch(0s, 150, 150), batch(1s, 50, 50)}, expecting(200)) == Faults{});
    CHECK(judge_batches({batch(0s, 150, 150), batch(62s, 50, 50)}, expecting(200)) ==
          Faults{Fault::too_few});
}

TEST_CASE("an error that may hide an admission excuses a missing success, any other does not") {
    const auto with = [](Outcome outcome) {
        Batch made = batch(0s, 199, 599);
        made.tally.add(outcome);
        return judge_batches({made}, expecting(200));
    };
    for (const Outcome outcome :
         {Outcome::timeout, Outcome::connection_lost, Outcome::server_error, Outcome::odd_answer}) {
        CHECK(with(outcome) == Faults{});
    }
    for (const Outcome outcome : {Outcome::connect_failed, Outcome::unauthorized, Outcome::client_error}) {
        CHECK(with(outcome).front() == Fault::unused);
    }
}

TEST_CASE("an error's admission is held until the longest window is over") {
    Batch broken = batch(0s, 0, 0);
    broken.tally.add(Outcome::connection_lost, 200);
    CHECK(judge_batches({broken, batch(10s, 0)}, expecting(200)) == Faults{});
    CHECK(judge_batches({broken, batch(62s, 0)}, expecting(200)) == Faults{Fault::unused});
    // It excuses refusals, never an admission too many.
    CHECK(judge_batches({broken, batch(10s, 201)}, expecting(200)) == Faults{Fault::limit_broken});
}

TEST_CASE("the expected successes follow from the times") {
    const std::vector batches{batch(0s, 200), batch(10s, 0), batch(60500ms, 50), batch(62s, 150)};
    const auto range = [&](std::size_t i) {
        const Expected expected = expected_successes(batches, i, 200, kWindow);
        return std::pair(expected.at_least, expected.at_most);
    };
    using Range = std::pair<std::uint64_t, std::uint64_t>;
    CHECK(range(0) == Range(200, 200));
    CHECK(range(1) == Range(0, 0));
    CHECK(range(2) == Range(0, 200));
    CHECK(range(3) == Range(150, 150));
}

TEST_CASE("a batch smaller than the room is expected whole") {
    const std::vector batches{batch(0s, 20, 20)};
    CHECK(expected_successes(batches, 0, 200, kWindow).at_least == 20);
    CHECK(expected_successes(batches, 0, 200, kWindow).at_most == 20);
}

TEST_CASE("the fullest window is summed over batches") {
    const std::vector batches{batch(0s, 70), batch(30s, 60), batch(59s, 50), batch(89s, 90)};
    CHECK(judge(batches, {}, nothing_expected()).fullest_window == 60 + 50 + 90);
    CHECK(judge(batches, {}, nothing_expected()).total.successes() == 270);
    // A second later the last batch ends 60.1 s after the second began: those two need not have met.
    const std::vector later{batch(0s, 70), batch(30s, 60), batch(59s, 50), batch(90s, 90)};
    CHECK(judge(later, {}, nothing_expected()).fullest_window == 70 + 60 + 50);
}

TEST_CASE("a ledger with exactly the limit in every window holds") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 100);
    arrive(up, 60010ms, 100);
    const auto judgement = judge(std::vector{batch(0s, 100), batch(60s, 100)}, std::vector{up},
                                 nothing_expected());
    CHECK(faults(judgement) == Faults{});
    CHECK(judgement.ledgers[0].fullest_window == 100);
    CHECK(judgement.ledgers[0].proven == 100);
    CHECK(judgement.ledgers[0].accepted == 200);
}

TEST_CASE("a ledger's limit broken by one is found") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 101);
    CHECK(judge_ledger({batch(0s, 101)}, up) == Faults{Fault::limit_broken});
    CHECK(judge(std::vector{batch(0s, 101)}, std::vector{up}, nothing_expected()).findings[0].text ==
          "http://up: 101 were admitted within 60 s, the limit is 100");
}

TEST_CASE("a window across a minute's boundary is found") {
    Ledger up = ledger(100);
    arrive(up, 59s, 100);  // the end of one minute
    arrive(up, 61s, 1);    // the beginning of the next
    CHECK(judge_ledger({batch(59s, 100, 100), batch(61s, 1)}, up) == Faults{Fault::limit_broken});
}

TEST_CASE("arrivals exactly a window apart are in two windows, a nanosecond less is one") {
    const std::vector batches{batch(0s, 100), batch(60s, 1)};
    Rules rules = nothing_expected();
    rules.transit = 0ns;
    Ledger apart = ledger(100);
    arrive(apart, 0s, 100);
    arrive(apart, 60s, 1);
    CHECK(judge_ledger(batches, apart, rules) == Faults{});
    Ledger within = ledger(100);
    arrive(within, 1ns, 100);
    arrive(within, 60s, 1);
    CHECK(judge_ledger(batches, within, rules) == Faults{Fault::limit_broken});
}

TEST_CASE("what may have been under way proves nothing") {
    // The first arrived 50 ms into its batch and may have been admitted at its beginning.
    Ledger up = ledger(100);
    arrive(up, 50ms, 100);
    arrive(up, 60020ms, 1);
    const std::vector batches{batch(0s, 100), batch(60s, 1)};
    const auto judgement = judge(batches, std::vector{up}, nothing_expected());
    CHECK(faults(judgement) == Faults{});
    CHECK(judgement.ledgers[0].fullest_window == 101);
    CHECK(judgement.ledgers[0].proven == 100);

    // A transit of at most 20 ms leaves no such excuse.
    Rules strict = nothing_expected();
    strict.transit = 20ms;
    CHECK(judge_ledger(batches, up, strict) == Faults{Fault::limit_broken});
}

TEST_CASE("a transit never reaches back before the batch") {
    // With 10 s of transit, but a batch that began at 0: what came at 5 s was admitted at 0 or later.
    Ledger up = ledger(100);
    arrive(up, 5s, 100);
    arrive(up, 59s, 1);
    Rules rules = nothing_expected();
    rules.transit = 10s;
    Batch slow = batch(0s, 100);
    slow.end = 6s;
    CHECK(judge_ledger({slow, batch(58s, 1)}, up, rules) == Faults{Fault::limit_broken});
}

TEST_CASE("refused and failed arrivals were admitted as well") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 99);
    arrive(up, 11ms, 1, 0ns, Arrival::Verdict::failed);
    CHECK(judge_ledger({batch(0s, 99)}, up) == Faults{});
    arrive(up, 12ms, 1, 0ns, Arrival::Verdict::failed);
    CHECK(judge_ledger({batch(0s, 99)}, up) == Faults{Fault::limit_broken});
}

TEST_CASE("an upstream that refuses is a fault of its own") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 100);
    arrive(up, 11ms, 1, 0ns, Arrival::Verdict::refused);
    CHECK(judge_ledger({batch(0s, 100)}, up) == Faults{Fault::upstream_refused, Fault::limit_broken});
    up.limit = 1000;
    CHECK(judge_ledger({batch(0s, 101, 101)}, up) == Faults{Fault::upstream_refused});
    up.limit.reset();
    CHECK(judge_ledger({batch(0s, 101, 101)}, up) == Faults{Fault::upstream_refused});
}

TEST_CASE("what an upstream refused before the run is not the run's fault") {
    Ledger up = ledger(100);
    arrive(up, 1s, 500, 0ns, Arrival::Verdict::refused);
    arrive(up, 90010ms, 100);
    const auto judgement = judge(std::vector{batch(90s, 100)}, std::vector{up}, nothing_expected());
    CHECK(faults(judgement) == Faults{});
    CHECK(judgement.ledgers[0].refused == 0);
    CHECK(judgement.ledgers[0].fullest_window == 100);
}

TEST_CASE("what arrived before the run fills its first window") {
    Ledger up = ledger(100);
    arrive(up, 40s, 100);
    CHECK(judge_ledger({batch(90s, 0)}, up) == Faults{});  // and so the refusals are just
    arrive(up, 90010ms, 1);
    CHECK(judge_ledger({batch(90s, 1)}, up) == Faults{Fault::limit_broken});
}

TEST_CASE("refusals while an upstream had room are capacity unused") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 97);
    CHECK(judge_ledger({batch(0s, 97)}, up) == Faults{Fault::unused});
    CHECK(judge(std::vector{batch(0s, 97)}, std::vector{up}, nothing_expected()).findings[0].text ==
          "http://up: 503 requests of batch 1 were refused although only 97 of 100 had been admitted in the "
          "window before");
}

TEST_CASE("of a ledger's limit 98 percent must be used, rounded up") {
    for (const auto& [limit, needed] :
         {std::pair(100u, 98u), {10u, 10u}, {1u, 1u}, {51u, 50u}, {1000u, 980u}}) {
        Ledger enough = ledger(limit);
        arrive(enough, 10ms, needed);
        CHECK(judge_ledger({batch(0s, needed)}, enough) == Faults{});
        Ledger short_by_one = ledger(limit);
        arrive(short_by_one, 10ms, needed - 1);
        CHECK(judge_ledger({batch(0s, needed - 1)}, short_by_one) == Faults{Fault::unused});
    }
}

TEST_CASE("no refusal, no complaint about what was left unused") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 5);
    CHECK(judge_ledger({batch(0s, 5, 5)}, up) == Faults{});
}

TEST_CASE("one upstream with room is enough for a complaint") {
    Ledger full = ledger(100);
    arrive(full, 10ms, 100);
    Ledger idle = ledger(100);
    idle.url = "http://idle";
    const auto judgement =
        judge(std::vector{batch(0s, 100)}, std::vector{full, idle}, nothing_expected());
    REQUIRE(faults(judgement) == Faults{Fault::unused});
    CHECK(judgement.findings[0].text.substr(0, 12) == "http://idle:");
}

TEST_CASE("a ledger that lags behind within the transit still accounts for its batch") {
    Ledger up = ledger(100);
    arrive(up, 100ms + 250ms, 100);
    CHECK(judge_ledger({batch(0s, 100)}, up) == Faults{});
    Ledger late = ledger(100);
    arrive(late, 100ms + 250ms + 1ns, 100);
    CHECK(judge_ledger({batch(0s, 100)}, late) == Faults{Fault::unused});
}

TEST_CASE("a killed proxy's admissions excuse what did not arrive") {
    Ledger up = ledger(100);
    arrive(up, 10ms, 90);
    Batch cut = batch(0s, 90, 500);
    CHECK(judge_ledger({cut}, up) == Faults{Fault::unused});
    cut.tally.add(Outcome::connection_lost, 8);
    CHECK(judge_ledger({cut}, up) == Faults{});
    // But not for longer than a window.
    CHECK(judge_ledger({cut, batch(62s, 0)}, up) == Faults{Fault::unused});
}

TEST_CASE("a ledger that has forgotten arrivals cannot be judged by") {
    Ledger up = ledger(100);
    up.dropped = 3;
    arrive(up, 10ms, 100);
    CHECK(judge_ledger({batch(0s, 100)}, up) == Faults{Fault::nothing_judged});
}

TEST_CASE("a ledger without a limit only counts") {
    Ledger up = ledger(0);
    up.limit.reset();
    arrive(up, 10ms, 5000);
    const auto judgement = judge(std::vector{batch(0s, 600)}, std::vector{up}, nothing_expected());
    CHECK(faults(judgement) == Faults{});
    CHECK(judgement.ledgers[0].fullest_window == 5000);
}

TEST_CASE("of batches that overlap, each may have been refused for the other's sake") {
    // The second began while the first was not over, and was quicker.
    Batch first = batch(0s, 60);
    first.end = 3s;
    Batch second = batch(1s, 140);
    second.end = 3s;
    CHECK(judge_batches({first, second}, expecting(200)) == Faults{});
    CHECK(judge_batches({first, batch(3s, 140)}, expecting(200)) == Faults{Fault::unused});
}

TEST_CASE("of batches that overlap, an arrival may belong to the one that began first") {
    // It arrived within the second, but may be the first one's, which was not over.
    Batch first = batch(0s, 100, 100);
    first.end = 10s;
    Batch second = batch(9s, 0, 0);
    second.end = 10s;
    Rules rules = nothing_expected();
    rules.transit = 20s;
    Ledger up = ledger(100);
    arrive(up, 9500ms, 100);
    arrive(up, 68900ms, 1);
    const Batch last = batch(68900ms, 1, 1);
    CHECK(judge_ledger({first, second, last}, up, rules) == Faults{});
    // Had the first been over long before, the hundred were the second one's.
    first.end = 1s;
    rules.transit = 5s;
    CHECK(judge_ledger({first, second, last}, up, rules) == Faults{Fault::limit_broken});
}

TEST_CASE("findings name what the batches are") {
    Rules rules = expecting(200);
    rules.batch_word = "slice";
    CHECK(judge(std::vector{batch(0s, 201)}, {}, rules).findings[0].text ==
          "slice 1 ended with 201 successes within 60 s, the limit is 200");
}

TEST_CASE("a run with nothing to judge by needs at least one success") {
    CHECK(judge_batches({batch(0s, 1)}, nothing_expected()) == Faults{});
    CHECK(judge_batches({batch(0s, 0)}, nothing_expected()) == Faults{Fault::nothing_judged});
    CHECK(judge_batches({}, nothing_expected()) == Faults{Fault::nothing_judged});
}

TEST_CASE("ten saturated batches get the limit as soon as it has come back") {
    // One every 10.1 s, 100 ms each; at 60.6 s the first one's units may still be held.
    const auto run = [](int first_full, int second_full) {
        std::vector<Batch> batches;
        Ledger up = ledger(200);
        for (int i = 0; i < 10; ++i) {
            const Nanos start = 10100ms * i;
            const bool full = i == first_full || i == second_full;
            batches.push_back(batch(start, full ? 200 : 0));
            if (full) arrive(up, start + 5ms, 200, 100us);
        }
        return judge_ledger(batches, up, expecting(200));
    };
    CHECK(run(0, 6) == Faults{});
    CHECK(run(0, 7) == Faults{});
    CHECK(run(0, 5) == Faults{Fault::limit_broken, Fault::limit_broken});  // by successes, by ledger
    CHECK(run(0, 8) == Faults{Fault::unused, Fault::unused});
}
