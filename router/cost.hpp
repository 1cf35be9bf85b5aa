// What a request is charged: an estimate before it is sent, the exact cost afterwards.
//
// Rules. A reservation is never more than its limit allows, as far as it is a guess; what the
// client asked for explicitly (its max tokens) is not a guess, and if that exceeds the limit the
// request never fits. An answer with usage is settled exactly. One that broke off, or has no usage,
// costs what was reserved or what was seen of it, whichever is more: what may have been used is
// never given back.
//
// Thread safety: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "router/scope.hpp"
#include "router/usage.hpp"
#include "shm/health.hpp"

namespace weir::router {

/// How a limit on tokens counts. Limits on input or output tokens count those, whatever the policy.
enum class CostPolicy : std::uint8_t {
    sum,     ///< prompt and completion
    max,     ///< the larger of prompt and max tokens, as OpenAI documents its own counting
    input,   ///< the prompt only
    output,  ///< the completion only
    split,   ///< nothing: only the limits on input and on output tokens count
};

/// "sum", "max", "input", "output", "split".
std::optional<CostPolicy> cost_policy_from(std::string_view name) noexcept;
std::string_view to_string(CostPolicy policy) noexcept;

/// Bytes per token of a prompt about which nothing has been learned.
inline constexpr double kBytesPerToken = 4;
/// Tokens of a completion about which nothing has been learned.
inline constexpr std::uint64_t kCompletionTokens = 1024;

/// What a request says about its size. See RequestFacts.
struct RequestSize {
    std::uint64_t prompt_bytes = 0;
    std::optional<std::uint64_t> max_tokens;  ///< for each of `n` answers
    std::uint64_t n = 1;
    bool generates = true;  ///< false for embeddings and the like, which have no completion
};

/// Whether answers of an endpoint (below api_base) are text that is generated: only they have a completion.
constexpr bool generates_text(std::string_view endpoint) noexcept {
    return endpoint == "/chat/completions" || endpoint == "/completions" || endpoint == "/responses";
}

/// What to reserve under each kind of limit, and the part of it that is certain.
struct Costs {
    Estimate reserve;
    Estimate certain;
};

/// Before sending. `learned` is of the model; what is not known of it is one of the constants above. The
/// estimate is above the learned average, by 10 % for the prompt and 50 % for the completion, so
/// that most requests use less than they reserve.
Costs estimate_costs(const RequestSize& size, const shm::LearnedEstimate& learned,
                     CostPolicy policy) noexcept;

/// What to charge a limit of `limit` units. More than `limit` only if `certain` is: then it never
/// fits.
constexpr shm::Units reservation(shm::Units reserve, shm::Units certain,
                                 shm::Units limit) noexcept {
    if (certain > limit) return certain;
    return reserve < limit ? reserve : limit;
}

/// The exact cost of an answer that reported its usage.
Estimate exact_cost(const Usage& usage, const RequestSize& size, CostPolicy policy) noexcept;

/// What was seen of an answer that broke off or reported no usage. See UsageScanner.
struct Seen {
    std::uint64_t content_events = 0;
    std::uint64_t content_bytes = 0;
};

/// Completion tokens that `seen` amounts to, at least 1 if anything was seen.
std::uint64_t seen_tokens(const Seen& seen, const shm::LearnedEstimate& learned) noexcept;

/// The cost of such an answer, for which `reserved` was charged.
Estimate interrupted_cost(const Estimate& reserved, const RequestSize& size, const Seen& seen,
                          const shm::LearnedEstimate& learned, CostPolicy policy) noexcept;

}  // namespace weir::router
