#include "router/strategy.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::router {
namespace {

struct Name {
    std::string_view text;
    Strategy strategy;
};
constexpr std::array<Name, 6> kNames = {{
    {"simple-shuffle", Strategy::simple_shuffle},
    {"least-busy", Strategy::least_busy},
    {"usage-based-routing-v2", Strategy::usage_based},
    {"usage-based-routing", Strategy::usage_based},
    {"latency-based-routing", Strategy::latency_based},
    {"cost-based-routing", Strategy::cost_based},
}};

enum class Metric : std::uint8_t { none, weight, rpm, tpm };

/// What simple-shuffle weighs by: what the first candidate that could be asked has.
Metric metric_of(std::span<const Candidate> candidates, std::int64_t level) {
    for (const Candidate& c : candidates) {
        if (c.cooling || c.order != level) continue;
        if (c.weight) return Metric::weight;
        if (c.rpm) return Metric::rpm;
        return c.tpm ? Metric::tpm : Metric::none;
    }
    return Metric::none;
}

/// 0 where it is missing, as in LiteLLM.
double weight_by(Metric metric, const Candidate& c) {
    switch (metric) {
        case Metric::weight:
            return c.weight.value_or(0);
        case Metric::rpm:
            return static_cast<double>(c.rpm.value_or(0));
        case Metric::tpm:
            return static_cast<double>(c.tpm.value_or(0));
        case Metric::none:
            break;
    }
    return 1;
}

/// Sorting by these keys equals drawing one after the other, each in proportion to its weight among
/// those that are left (Efraimidis and Spirakis). A weight of 0 is drawn last.
double shuffle_key(double weight, RandomSource random) {
    if (!(weight > 0)) return std::numeric_limits<double>::infinity();
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
    return -std::log(uniform) / weight;
}

double latency_of(const Candidate& c, const Choice& choice) {
    const auto nanos = choice.stream && c.ttft.count() > 0 ? c.ttft : c.latency;
    return static_cast<double>(std::max<std::int64_t>(nanos.count(), 0));
}

double lowest_latency(std::span<const Candidate> candidates, std::int64_t level,
                      const Choice& choice) {
    double lowest = std::numeric_limits<double>::infinity();
    for (const Candidate& c : candidates) {
        if (!c.cooling && c.order == level) lowest = std::min(lowest, latency_of(c, choice));
    }
    return lowest;
}

/// What one level has in common, computed when its first candidate is met.
struct Level {
    std::int64_t order = 0;
    bool known = false;
    Metric metric = Metric::none;
    double latency_limit = 0;
};

void know_level(Level& level, std::span<const Candidate> candidates, std::int64_t order,
                const Choice& choice) {
    if (level.known && level.order == order) return;
    level = {order, true, Metric::none, 0};
    if (choice.strategy == Strategy::simple_shuffle) level.metric = metric_of(candidates, order);
    if (choice.strategy == Strategy::latency_based) {
        level.latency_limit =
            lowest_latency(candidates, order, choice) * (1 + std::max(choice.latency_buffer, 0.0));
    }
}

double key_of(const Candidate& c, const Level& level, const Choice& choice, RandomSource random) {
    switch (choice.strategy) {
        case Strategy::simple_shuffle:
            return level.metric == Metric::none ? 0
                                                : shuffle_key(weight_by(level.metric, c), random);
        case Strategy::least_busy:
            return static_cast<double>(c.in_flight);
        case Strategy::usage_based:
            return static_cast<double>(c.used_tokens);
        case Strategy::latency_based: {
            const double latency = latency_of(c, choice);
            return latency <= level.latency_limit ? 0 : latency;
        }
        case Strategy::cost_based:
            return c.cost;
    }
    return 0;
}

}  // namespace

std::optional<Strategy> strategy_from(std::string_view name) noexcept {
    for (const Name& known : kNames) {
        if (known.text == name) return known.strategy;
    }
    return std::nullopt;
}

std::string_view to_string(Strategy strategy) noexcept {
    for (const Name& known : kNames) {
        if (known.strategy == strategy) return known.text;
    }
    return "?";
}

Ordered Chooser::order(std::span<const Candidate> candidates, const Choice& choice,
                       RandomSource random) {
    slots_.clear();
    order_.clear();
    Ordered ordered;
    Level level;
    for (std::uint32_t i = 0; i < candidates.size(); ++i) {
        const Candidate& c = candidates[i];
        know_level(level, candidates, c.order, choice);
        // A key that cannot be compared would make the sorting undefined.
        double key = candidates.size() == 1 ? 0 : key_of(c, level, choice, random);
        if (std::isnan(key)) key = std::numeric_limits<double>::infinity();
        slots_.push_back({c.order, key, candidates.size() == 1 ? 0 : random(), i, c.cooling});
        ordered.healthy += c.cooling ? 0u : 1u;
    }
    std::sort(slots_.begin(), slots_.end(), [](const Slot& a, const Slot& b) {
        if (a.cooling != b.cooling) return b.cooling;
        if (a.level != b.level) return a.level < b.level;
        if (a.key < b.key || b.key < a.key) return a.key < b.key;
        return a.tie < b.tie;
    });
    for (const Slot& slot : slots_) order_.push_back(slot.index);
    ordered.all = order_;
    return ordered;
}

}  // namespace weir::router
