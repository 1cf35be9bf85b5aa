// How the judge judges limits on tokens.
#include <catch2/catch.hpp>

#include "recorded_run.hpp"

using namespace weir::loadtest;
using namespace weir::loadtest::test;
using namespace std::chrono_literals;

namespace {

/// An upstream under a limit of 21,000 tokens, whose answers use 21 each.
Ledger token_ledger() {
    Ledger made = ledger(1000);
    made.token_limit = 21'000;
    return made;
}

Rules by_tokens() {
    Rules rules = nothing_expected();
    rules.answer_tokens = 21;
    return rules;
}

}  // namespace

TEST_CASE("as long as no answer has taught better, requests that run may hold a limit's tokens") {
    // 20,580 of the tokens are enough. With the one that was refused 20 requests reserve 1,045 each.
    Ledger few = token_ledger();
    arrive(few, 10ms, 18);
    CHECK(judge_ledger({batch(0s, 18)}, few, by_tokens()) == Faults{Fault::unused});
    arrive(few, 20ms, 1);
    CHECK(judge_ledger({batch(0s, 19)}, few, by_tokens()) == Faults{});
    CHECK(judge_ledger({batch(0s, 19)}, few) == Faults{Fault::unused});  // no word about tokens
}

TEST_CASE("once answers have taught, a refusal needs as many more of them") {
    // 20 x 21 tokens are used; each further request reserves 33 while it runs: 610 of them, and the
    // refused one.
    const auto second = [](std::size_t running) {
        Ledger made = token_ledger();
        arrive(made, 10ms, 20);
        arrive(made, 10s + 10ms, running);
        return judge_ledger({batch(0s, 20), batch(10s, running, 1000)}, made, by_tokens());
    };
    CHECK(second(609) == Faults{Fault::unused});
    CHECK(second(610) == Faults{});
    // Answers that are there have used 21 tokens each, and hold no more: the third batch needs nearly all.
    const auto third = [](std::size_t running) {
        Ledger made = token_ledger();
        arrive(made, 10ms, 20);
        arrive(made, 10s + 10ms, 900);
        arrive(made, 20s + 10ms, running);
        return judge_ledger({batch(0s, 20, 20), batch(10s, 900, 900), batch(20s, running)}, made,
                            by_tokens());
    };
    CHECK(third(37) == Faults{Fault::unused});
    CHECK(third(38) == Faults{});
}

TEST_CASE("slices that overlap may run at the same time, and what ended openly may hold its tokens") {
    Batch first = batch(0s, 300, 300);
    first.end = 10050ms;
    Ledger made = token_ledger();
    arrive(made, 10ms, 20);
    CHECK(judge_ledger({first, batch(10s, 0)}, made, by_tokens()) == Faults{});
    first.end = 9s;
    CHECK(judge_ledger({first, batch(10s, 0)}, made, by_tokens()) == Faults{Fault::unused});
}

TEST_CASE("more answers than the tokens allow break the limit, whatever may be reserved") {
    Ledger made = token_ledger();
    arrive(made, 10ms, 1001);
    CHECK(judge_ledger({batch(0s, 1001, 1001)}, made, by_tokens()) == Faults{Fault::limit_broken});
}
