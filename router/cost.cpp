#include "router/cost.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::router {
namespace {

struct Name {
    std::string_view text;
    CostPolicy policy;
};
constexpr std::array<Name, 5> kNames = {{{"sum", CostPolicy::sum},
                                         {"max", CostPolicy::max},
                                         {"input", CostPolicy::input},
                                         {"output", CostPolicy::output},
                                         {"split", CostPolicy::split}}};

/// Above what any limit can be, and small enough that two of them add up without overflow.
constexpr std::uint64_t kTokensMax = std::uint64_t{1} << 60;
constexpr double kPromptMargin = 1.1;
constexpr double kCompletionMargin = 1.5;
/// A prompt has at least one token in so many bytes; anything less would be an odd tokenizer.
constexpr std::uint64_t kBytesPerTokenMost = 16;

std::uint64_t times(std::uint64_t a, std::uint64_t b) noexcept {
    if (a == 0 || b == 0) return 0;
    return a > kTokensMax / b ? kTokensMax : a * b;
}

/// `value` rounded up; a hair above a whole number is that number.
std::uint64_t round_up(double value) noexcept {
    if (!(value > 0)) return 0;
    return value < static_cast<double>(kTokensMax)
               ? static_cast<std::uint64_t>(std::ceil(value - 1e-6))
               : kTokensMax;
}

/// What was learned comes from shared memory, so it is held to what can be.
double bytes_per_token(const shm::LearnedEstimate& learned) noexcept {
    const double ratio = learned.bytes_per_prompt_token;
    if (!(ratio > 0)) return kBytesPerToken;
    return std::clamp(ratio, 0.25, 64.0);
}

std::uint64_t guessed_prompt(const RequestSize& size,
                             const shm::LearnedEstimate& learned) noexcept {
    const double margin = learned.bytes_per_prompt_token > 0 ? kPromptMargin : 1;
    const double bytes = static_cast<double>(size.prompt_bytes);
    return std::max<std::uint64_t>(round_up(bytes / bytes_per_token(learned) * margin), 1);
}

std::uint64_t guessed_completion(const shm::LearnedEstimate& learned) noexcept {
    if (!(learned.completion_tokens > 0)) return kCompletionTokens;
    return std::max<std::uint64_t>(round_up(learned.completion_tokens * kCompletionMargin), 1);
}

/// The completion that the client allows, for all answers, if it said so.
std::optional<std::uint64_t> asked_completion(const RequestSize& size) noexcept {
    if (!size.generates) return 0;
    if (!size.max_tokens) return std::nullopt;
    return times(*size.max_tokens, size.n);
}

std::uint64_t combine(std::uint64_t prompt, std::uint64_t completion, CostPolicy policy) noexcept {
    switch (policy) {
        case CostPolicy::sum:
            return prompt + completion;
        case CostPolicy::max:
            return std::max(prompt, completion);
        case CostPolicy::input:
            return prompt;
        case CostPolicy::output:
            return completion;
        case CostPolicy::split:
            return 0;
    }
    return prompt + completion;
}

Estimate estimate_of(std::uint64_t prompt, std::uint64_t completion, CostPolicy policy) noexcept {
    prompt = std::min(prompt, kTokensMax);
    completion = std::min(completion, kTokensMax);
    return {combine(prompt, completion, policy), prompt, completion};
}

/// OpenAI's counting takes max tokens as they were asked for, not as they were used.
std::uint64_t counted_completion(std::uint64_t used, const RequestSize& size,
                                 CostPolicy policy) noexcept {
    const auto asked = asked_completion(size);
    return policy == CostPolicy::max && asked ? std::max(*asked, used) : used;
}

Estimate charged(std::uint64_t prompt, std::uint64_t completion, const RequestSize& size,
                 CostPolicy policy) noexcept {
    Estimate cost = estimate_of(prompt, completion, policy);
    cost.tokens =
        combine(cost.input_tokens,
                std::min(counted_completion(completion, size, policy), kTokensMax), policy);
    return cost;
}

}  // namespace

std::optional<CostPolicy> cost_policy_from(std::string_view name) noexcept {
    for (const Name& known : kNames) {
        if (known.text == name) return known.policy;
    }
    return std::nullopt;
}

std::string_view to_string(CostPolicy policy) noexcept {
    for (const Name& known : kNames) {
        if (known.policy == policy) return known.text;
    }
    return "?";
}

Costs estimate_costs(const RequestSize& size, const shm::LearnedEstimate& learned,
                     CostPolicy policy) noexcept {
    const auto asked = asked_completion(size);
    const auto completion = asked ? *asked : times(guessed_completion(learned), size.n);
    const std::uint64_t least_prompt = size.prompt_bytes / kBytesPerTokenMost;
    return {estimate_of(std::max(guessed_prompt(size, learned), least_prompt), completion, policy),
            estimate_of(least_prompt, asked.value_or(0), policy)};
}

Estimate exact_cost(const Usage& usage, const RequestSize& size, CostPolicy policy) noexcept {
    // A total above its parts has tokens that are neither, such as reasoning: they were generated.
    const auto completion =
        std::max(usage.completion_tokens,
                 usage.total_tokens - std::min(usage.total_tokens, usage.prompt_tokens));
    return charged(usage.prompt_tokens, completion, size, policy);
}

std::uint64_t seen_tokens(const Seen& seen, const shm::LearnedEstimate& learned) noexcept {
    const double bytes = static_cast<double>(seen.content_bytes);
    return std::max(seen.content_events, round_up(bytes / bytes_per_token(learned)));
}

Estimate interrupted_cost(const Estimate& reserved, const RequestSize& size, const Seen& seen,
                          const shm::LearnedEstimate& learned, CostPolicy policy) noexcept {
    const Estimate cost =
        charged(guessed_prompt(size, learned), seen_tokens(seen, learned), size, policy);
    return {std::max(reserved.tokens, cost.tokens),
            std::max(reserved.input_tokens, cost.input_tokens),
            std::max(reserved.output_tokens, cost.output_tokens)};
}

}  // namespace weir::router
