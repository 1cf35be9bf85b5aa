// In which order the deployments of a model are asked: LiteLLM's routing strategies as pure
// functions over a snapshot. All candidates are ordered, for the next one is asked when one
// refuses.
//
// A candidate's place is decided by, in this order: not cooling down before cooling down; its
// `order` level; the strategy; chance. Chance includes ties: no deployment is preferred for being
// listed first.
//
// Thread safety: a Chooser belongs to one thread; everything else is values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "shm/clock.hpp"

namespace weir::router {

enum class Strategy : std::uint8_t {
    simple_shuffle,  ///< by chance, weighted by weight, else rpm, else tpm, as the first healthy
                     ///< one has them
    least_busy,      ///< the fewest requests in flight
    usage_based,     ///< the fewest tokens used in the window; -v2 is the same here
    latency_based,   ///< by chance among those within `latency_buffer` of the fastest, then by
                     ///< latency
    cost_based,      ///< the cheapest
};

/// By LiteLLM's names: "simple-shuffle", "least-busy", "usage-based-routing",
/// "usage-based-routing-v2", "latency-based-routing", "cost-based-routing".
std::optional<Strategy> strategy_from(std::string_view name) noexcept;
std::string_view to_string(Strategy strategy) noexcept;

/// The cost of a deployment that states none, per token, as in LiteLLM.
inline constexpr double kUnknownCost = 10.0;

/// The level of a deployment that has no `order`: after all that have one.
inline constexpr std::int64_t kLastOrder = std::numeric_limits<std::int64_t>::max();

/// What is known of one deployment at this moment.
struct Candidate {
    std::optional<double> weight;
    std::optional<std::uint64_t> rpm;
    std::optional<std::uint64_t> tpm;
    std::int64_t order = kLastOrder;  ///< lower first
    bool cooling = false;             ///< cooling down: asked last, if at all
    std::uint64_t in_flight = 0;      ///< of all processes
    std::uint64_t used_tokens = 0;    ///< in the current window
    shm::Nanos latency{};             ///< average; 0: not known, which counts as the fastest
    shm::Nanos ttft{};                ///< average time to the first token; 0: not known
    double cost = kUnknownCost;       ///< per input token plus per output token
};

/// Any UniformRandomBitGenerator of 64 bits, by reference; cheap to copy.
class RandomSource {
 public:
    template <class Generator>
    explicit RandomSource(Generator& generator) noexcept
        : state_(&generator),
          next_([](void* g) -> std::uint64_t { return (*static_cast<Generator*>(g))(); }) {
        static_assert(Generator::min() == 0 &&
                      Generator::max() == std::numeric_limits<std::uint64_t>::max());
    }
    std::uint64_t operator()() const { return next_(state_); }

 private:
    void* state_;
    std::uint64_t (*next_)(void*);
};

/// How to choose.
struct Choice {
    Strategy strategy = Strategy::simple_shuffle;
    double latency_buffer =
        0;                ///< LiteLLM's lowest_latency_buffer: 0.5 means up to 1.5 x the lowest
    bool stream = false;  ///< latency then means the time to the first token, where known
};

/// Indices into the candidates, in the order in which to ask them.
struct Ordered {
    std::span<const std::uint32_t> all;
    std::size_t healthy = 0;  ///< the first so many of `all` are not cooling down
};

/// Orders candidates, with memory that is kept from call to call.
class Chooser {
 public:
    /// Good until the next call.
    Ordered order(std::span<const Candidate> candidates, const Choice& choice, RandomSource random);

 private:
    struct Slot {
        std::int64_t level;
        double key;         // lower first
        std::uint64_t tie;  // by chance
        std::uint32_t index;
        bool cooling;
    };
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> order_;
};

}  // namespace weir::router
