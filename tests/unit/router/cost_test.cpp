#include "router/cost.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace weir;
using namespace weir::router;

namespace {

constexpr CostPolicy kPolicies[] = {CostPolicy::sum, CostPolicy::max, CostPolicy::input,
                                    CostPolicy::output, CostPolicy::split};

RequestSize size_of(std::uint64_t prompt_bytes, std::optional<std::uint64_t> max_tokens,
                    std::uint64_t n = 1) {
    return {prompt_bytes, max_tokens, n, true};
}

shm::LearnedEstimate learned(double bytes_per_token, double completion) {
    return {bytes_per_token, completion, 100};
}

shm::Units tokens(CostPolicy policy, const RequestSize& size,
                  const shm::LearnedEstimate& known = {}) {
    return estimate_costs(size, known, policy).reserve.tokens;
}

}  // namespace

TEST_CASE("policies are known by their names") {
    for (const auto policy : kPolicies) CHECK(cost_policy_from(to_string(policy)) == policy);
    CHECK_FALSE(cost_policy_from("total").has_value());
}

TEST_CASE("each policy combines prompt and max tokens in its way") {
    const auto size = size_of(400, 250, 2);  // 100 tokens of prompt, 2 x 250 of completion
    CHECK(tokens(CostPolicy::sum, size) == 600);
    CHECK(tokens(CostPolicy::max, size) == 500);
    CHECK(tokens(CostPolicy::max, size_of(40'000, 250)) == 10'000);
    CHECK(tokens(CostPolicy::input, size) == 100);
    CHECK(tokens(CostPolicy::output, size) == 500);
    CHECK(tokens(CostPolicy::split, size) == 0);
    for (const auto policy : kPolicies) {
        const auto costs = estimate_costs(size, {}, policy);
        CHECK(costs.reserve.input_tokens == 100);
        CHECK(costs.reserve.output_tokens == 500);
    }
}

TEST_CASE("what nobody said is learned, or assumed") {
    CHECK(tokens(CostPolicy::sum, size_of(400, std::nullopt)) == 100 + kCompletionTokens);
    CHECK(tokens(CostPolicy::sum, size_of(400, std::nullopt), learned(2, 40)) == 220 + 60);
    CHECK(tokens(CostPolicy::sum, size_of(400, 10), learned(2, 40)) == 220 + 10);
    CHECK(tokens(CostPolicy::output, size_of(400, std::nullopt, 3), learned(2, 40)) == 180);
    CHECK(tokens(CostPolicy::sum, size_of(0, 0)) == 1);
    CHECK(tokens(CostPolicy::sum, size_of(400, std::nullopt), learned(0, 40)) == 100 + 60);
    CHECK(tokens(CostPolicy::sum, size_of(400, std::nullopt), learned(2, 0)) == 220 + kCompletionTokens);
    auto embedding = size_of(400, std::nullopt);
    embedding.generates = false;
    CHECK(tokens(CostPolicy::sum, embedding) == 100);
}

TEST_CASE("nonsense that was learned does no harm") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinite = std::numeric_limits<double>::infinity();
    for (const double odd : {nan, infinite, -infinite, -1.0, 0.0, 1e-300, 1e300}) {
        const auto size = size_of(1'000'000, std::nullopt, 3);
        const auto costs = estimate_costs(size, learned(odd, odd), CostPolicy::sum);
        CHECK(costs.reserve.tokens >= costs.certain.tokens);
        CHECK(costs.reserve.input_tokens >= 1'000'000 / 64);
        CHECK(costs.reserve.input_tokens <= 4'400'000);
        CHECK(seen_tokens({3, 1000}, learned(odd, odd)) >= 15);
    }
}

TEST_CASE("huge numbers saturate") {
    const auto most = std::numeric_limits<std::uint64_t>::max();
    for (const auto policy : {CostPolicy::sum, CostPolicy::max, CostPolicy::output}) {
        const auto costs = estimate_costs(size_of(most, most, most), {}, policy);
        CHECK(costs.reserve.tokens >= std::uint64_t{1} << 60);
        CHECK(costs.certain.tokens >= std::uint64_t{1} << 60);
        CHECK(reservation(costs.reserve.tokens, costs.certain.tokens, 1000) > 1000);
        CHECK(exact_cost({most, most, most, 0}, size_of(1, most), policy).tokens >= std::uint64_t{1}
                                                                                        << 60);
    }
}

TEST_CASE("a guess is clamped to the limit, an explicit demand is not") {
    const auto guess = estimate_costs(size_of(400, std::nullopt), {}, CostPolicy::sum);
    CHECK(guess.certain.tokens == 25);
    CHECK(reservation(guess.reserve.tokens, guess.certain.tokens, 500) == 500);
    CHECK(reservation(guess.reserve.tokens, guess.certain.tokens, 5000) == 1124);
    const auto demand = estimate_costs(size_of(400, 600), {}, CostPolicy::sum);
    CHECK(reservation(demand.reserve.tokens, demand.certain.tokens, 500) > 500);
    CHECK(reservation(demand.reserve.tokens, demand.certain.tokens, 625) == 625);
    CHECK(reservation(demand.reserve.tokens, demand.certain.tokens, 1000) == 700);
    // A prompt so long that no tokenizer makes it fit.
    const auto prompt =
        estimate_costs(size_of(16'000, std::nullopt), learned(4, 1), CostPolicy::input);
    CHECK(reservation(prompt.reserve.tokens, prompt.certain.tokens, 999) > 999);
    CHECK(reservation(prompt.reserve.tokens, prompt.certain.tokens, 1000) == 1000);
}

TEST_CASE("what is certain is never more than what is reserved") {
    for (const auto policy : kPolicies) {
        for (const std::uint64_t bytes : {0u, 1u, 17u, 1000u, 1'000'000u}) {
            for (const auto& known : {shm::LearnedEstimate{}, learned(0.3, 5), learned(60, 5000)}) {
                for (const auto& max :
                     {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(7)}) {
                    const auto costs = estimate_costs(size_of(bytes, max), known, policy);
                    CHECK(costs.certain.tokens <= costs.reserve.tokens);
                    CHECK(costs.certain.input_tokens <= costs.reserve.input_tokens);
                    CHECK(costs.certain.output_tokens <= costs.reserve.output_tokens);
                }
            }
        }
    }
}

TEST_CASE("usage settles exactly") {
    const Usage usage{9, 12, 21, 0};
    const auto size = size_of(56, std::nullopt);
    CHECK(exact_cost(usage, size, CostPolicy::sum).tokens == 21);
    CHECK(exact_cost(usage, size, CostPolicy::max).tokens == 12);
    CHECK(exact_cost(usage, size, CostPolicy::input).tokens == 9);
    CHECK(exact_cost(usage, size, CostPolicy::output).tokens == 12);
    CHECK(exact_cost(usage, size, CostPolicy::split).tokens == 0);
    CHECK(exact_cost(usage, size, CostPolicy::split).input_tokens == 9);
    CHECK(exact_cost(usage, size, CostPolicy::split).output_tokens == 12);
    // OpenAI counts max tokens as asked for.
    CHECK(exact_cost(usage, size_of(56, 100, 2), CostPolicy::max).tokens == 200);
    CHECK(exact_cost(usage, size_of(56, 100, 2), CostPolicy::sum).tokens == 21);
    // A total that is more than its parts counts; one that is less does not.
    CHECK(exact_cost({9, 12, 30, 0}, size, CostPolicy::sum).tokens == 30);
    CHECK(exact_cost({9, 12, 0, 0}, size, CostPolicy::sum).tokens == 21);
    CHECK(exact_cost({5, 0, 5, 0}, size, CostPolicy::sum).tokens == 5);
}

TEST_CASE("what broke off never refunds, and may cost more") {
    const auto size = size_of(400, std::nullopt);
    const auto known = learned(4, 10);
    const auto reserved = estimate_costs(size, known, CostPolicy::sum).reserve;
    CHECK(reserved.tokens == 110 + 15);
    CHECK(interrupted_cost(reserved, size, {0, 0}, known, CostPolicy::sum).tokens == 125);
    CHECK(interrupted_cost(reserved, size, {3, 12}, known, CostPolicy::sum).tokens == 125);
    CHECK(interrupted_cost(reserved, size, {200, 600}, known, CostPolicy::sum).tokens == 110 + 200);
    CHECK(interrupted_cost(reserved, size, {1, 4000}, known, CostPolicy::sum).tokens == 110 + 1000);
    CHECK(interrupted_cost(reserved, size, {200, 600}, known, CostPolicy::sum).output_tokens ==
          200);
    CHECK(interrupted_cost(reserved, size, {200, 600}, known, CostPolicy::input).tokens == 125);
    CHECK(seen_tokens({1, 1}, known) == 1);
    CHECK(seen_tokens({}, known) == 0);
}
