#include "router/strategy.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <vector>

using namespace weir::router;
using namespace std::chrono_literals;
using namespace Catch::literals;

namespace {

constexpr int kRounds = 40'000;

/// How often each candidate came first.
std::vector<double> first_shares(const std::vector<Candidate>& candidates, const Choice& choice) {
    std::mt19937_64 random(42);
    Chooser chooser;
    std::vector<double> counts(candidates.size());
    for (int i = 0; i < kRounds; ++i) {
        const auto ordered = chooser.order(candidates, choice, RandomSource(random));
        REQUIRE(ordered.all.size() == candidates.size());
        counts[ordered.all[0]] += 1.0 / kRounds;
    }
    return counts;
}

std::vector<std::uint32_t> order_of(const std::vector<Candidate>& candidates, const Choice& choice,
                                    std::uint64_t seed = 1) {
    std::mt19937_64 random(seed);
    Chooser chooser;
    const auto all = chooser.order(candidates, choice, RandomSource(random)).all;
    return {all.begin(), all.end()};
}

/// Five standard deviations of a share that is about `share`, over kRounds.
Approx share(double value) {
    return Approx(value).margin(5 * std::sqrt(value * (1 - value) / kRounds) + 1e-9);
}

Candidate weighted(double weight) {
    Candidate c;
    c.weight = weight;
    return c;
}

std::vector<Candidate> make(std::size_t count, void (*fill)(Candidate&, std::uint64_t)) {
    std::vector<Candidate> list(count);
    for (std::size_t i = 0; i < count; ++i) fill(list[i], i);
    return list;
}

}  // namespace

TEST_CASE("strategies have LiteLLM's names") {
    for (const auto strategy :
         {Strategy::simple_shuffle, Strategy::least_busy, Strategy::latency_based,
          Strategy::cost_based, Strategy::usage_based}) {
        CHECK(strategy_from(to_string(strategy)) == strategy);
    }
    CHECK(strategy_from("usage-based-routing") == Strategy::usage_based);
    CHECK_FALSE(strategy_from("round-robin").has_value());
    CHECK_FALSE(strategy_from("").has_value());
}

TEST_CASE("simple-shuffle without weights is uniform, in every place") {
    const std::vector<Candidate> list(4);
    const auto shares = first_shares(list, {});
    for (const double s : shares) CHECK(s == share(0.25));
    // All 24 orders are equally likely.
    std::mt19937_64 random(9);
    Chooser chooser;
    std::map<std::vector<std::uint32_t>, int> seen;
    for (int i = 0; i < kRounds; ++i) {
        const auto all = chooser.order(list, {}, RandomSource(random)).all;
        ++seen[{all.begin(), all.end()}];
    }
    REQUIRE(seen.size() == 24);
    double chi_squared = 0;
    for (const auto& [order, count] : seen) {
        const double expected = kRounds / 24.0;
        chi_squared += (count - expected) * (count - expected) / expected;
    }
    CHECK(chi_squared < 58);  // 23 degrees of freedom, p = 0.0001
}

TEST_CASE("simple-shuffle follows the weights, first and after a refusal") {
    const std::vector<Candidate> list = {weighted(6), weighted(3), weighted(1)};
    const auto shares = first_shares(list, {});
    CHECK(shares[0] == share(0.6));
    CHECK(shares[1] == share(0.3));
    CHECK(shares[2] == share(0.1));
    // Of those whose first was 0, the second is 1 three times out of four.
    std::mt19937_64 random(7);
    Chooser chooser;
    double firsts = 0;
    double seconds = 0;
    for (int i = 0; i < kRounds; ++i) {
        const auto all = chooser.order(list, {}, RandomSource(random)).all;
        if (all[0] != 0) continue;
        ++firsts;
        if (all[1] == 1) ++seconds;
    }
    CHECK(seconds / firsts == Approx(0.75).margin(0.02));
}

TEST_CASE("simple-shuffle weighs by what the first healthy candidate has") {
    Candidate rpm;
    rpm.rpm = 300;
    rpm.tpm = 1;
    Candidate rpm_small;
    rpm_small.rpm = 100;
    rpm_small.tpm = 1'000'000;
    CHECK(first_shares({rpm, rpm_small}, {})[0] == share(0.75));
    Candidate tpm;
    tpm.tpm = 9;
    Candidate tpm_small;
    tpm_small.tpm = 1;
    CHECK(first_shares({tpm, tpm_small}, {})[0] == share(0.9));
    // The first has no weight, so weights do not count at all.
    CHECK(first_shares({Candidate{}, weighted(9)}, {})[0] == share(0.5));
    // The first is cooling down, so the second one decides.
    Candidate cooling;
    cooling.cooling = true;
    CHECK(first_shares({cooling, weighted(9), weighted(1)}, {})[1] == share(0.9));
}

TEST_CASE("a weight of 0 or none comes last, and only zeros are uniform") {
    const auto shares = first_shares({weighted(1), weighted(0), Candidate{}}, {});
    CHECK(shares[0] == 1.0_a);
    const auto zeros = first_shares({weighted(0), weighted(0)}, {});
    CHECK(zeros[0] == share(0.5));
    const auto odd = order_of({weighted(std::nan("")), weighted(-1), weighted(1)}, {});
    CHECK(odd[0] == 2);
}

TEST_CASE("least-busy takes the fewest in flight, ties by chance") {
    const auto list =
        make(4, [](Candidate& c, std::uint64_t i) { c.in_flight = i < 2 ? 3 : 10 - i; });
    const Choice choice{Strategy::least_busy, 0, false};
    const auto shares = first_shares(list, choice);
    CHECK(shares[0] == share(0.5));
    CHECK(shares[1] == share(0.5));
    const auto all = order_of(list, choice);
    CHECK(all[2] == 3);
    CHECK(all[3] == 2);
}

TEST_CASE("usage-based-routing takes the fewest tokens used") {
    const auto list = make(3, [](Candidate& c, std::uint64_t i) { c.used_tokens = 300 - 100 * i; });
    CHECK(order_of(list, {Strategy::usage_based, 0, false}) == std::vector<std::uint32_t>{2, 1, 0});
    const auto ties = make(2, [](Candidate& c, std::uint64_t) { c.used_tokens = 5; });
    CHECK(first_shares(ties, {Strategy::usage_based, 0, false})[0] == share(0.5));
}

TEST_CASE("latency-based-routing takes any within the buffer of the fastest, then by latency") {
    std::vector<Candidate> list(4);
    list[0].latency = 100ms;
    list[1].latency = 140ms;
    list[2].latency = 151ms;
    list[3].latency = 120ms;
    const auto exact = order_of(list, {Strategy::latency_based, 0, false});
    CHECK(exact == std::vector<std::uint32_t>{0, 3, 1, 2});
    const auto shares = first_shares(list, {Strategy::latency_based, 0.5, false});
    CHECK(shares[0] == share(1.0 / 3));
    CHECK(shares[1] == share(1.0 / 3));
    CHECK(shares[2] == 0.0_a);
    CHECK(shares[3] == share(1.0 / 3));
    // One that was never measured comes first.
    list[2].latency = 0ms;
    CHECK(order_of(list, {Strategy::latency_based, 0.5, false})[0] == 2);
}

TEST_CASE("for streams the time to the first token counts, where it is known") {
    std::vector<Candidate> list(3);
    list[0].latency = 100ms;
    list[0].ttft = 90ms;
    list[1].latency = 900ms;
    list[1].ttft = 20ms;
    list[2].latency = 50ms;
    CHECK(order_of(list, {Strategy::latency_based, 0, true}) ==
          std::vector<std::uint32_t>{1, 2, 0});
    CHECK(order_of(list, {Strategy::latency_based, 0, false}) ==
          std::vector<std::uint32_t>{2, 0, 1});
}

TEST_CASE("cost-based-routing takes the cheapest, and the unpriced last") {
    std::vector<Candidate> list(4);
    list[0].cost = 3e-6;
    list[2].cost = 1e-6;
    list[3].cost = 0;
    CHECK(order_of(list, {Strategy::cost_based, 0, false}) ==
          std::vector<std::uint32_t>{3, 2, 0, 1});
    list[2].cost = 0;
    const auto shares = first_shares(list, {Strategy::cost_based, 0, false});
    CHECK(shares[2] == share(0.5));
    CHECK(shares[3] == share(0.5));
    CHECK(shares[0] == 0.0_a);
}

TEST_CASE("order levels go before every strategy, and cooling ones after all") {
    for (const auto strategy :
         {Strategy::simple_shuffle, Strategy::least_busy, Strategy::usage_based,
          Strategy::latency_based, Strategy::cost_based}) {
        std::vector<Candidate> list(6);
        list[0].order = 2;
        list[1].order = 1;
        list[2].order = 1;
        list[3].order = 0;
        list[3].cooling = true;
        list[4].order = 2;
        list[1].in_flight = list[2].in_flight = 50;
        for (std::uint64_t seed = 1; seed < 50; ++seed) {
            std::mt19937_64 random(seed);
            Chooser chooser;
            const auto ordered = chooser.order(list, {strategy, 0, false}, RandomSource(random));
            CHECK(ordered.healthy == 5);
            CHECK(ordered.all[0] + ordered.all[1] == 1 + 2);
            CHECK(ordered.all[2] + ordered.all[3] == 0 + 4);
            CHECK(ordered.all[4] == 5);  // without an order
            CHECK(ordered.all[5] == 3);
        }
    }
}

TEST_CASE("none and one are fine, and the memory is kept") {
    std::mt19937_64 random(1);
    Chooser chooser;
    CHECK(chooser.order({}, {}, RandomSource(random)).all.empty());
    const std::vector<Candidate> large(64);
    const auto* const place = chooser.order(large, {}, RandomSource(random)).all.data();
    for (int i = 0; i < 100; ++i) {
        const auto one = chooser.order(std::span(large).first(1), {}, RandomSource(random));
        REQUIRE(one.all.size() == 1);
        CHECK(one.all.data() == place);
        CHECK(chooser.order(large, {}, RandomSource(random)).all.data() == place);
    }
}
