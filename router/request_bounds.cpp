#include "router/request_bounds.hpp"

#include <algorithm>
#include <string_view>

#include "router/config.hpp"
#include "router/request.hpp"

namespace weir::router {
namespace {

template <class T>
std::optional<T> first_of(const std::optional<T>& one, const std::optional<T>& other) {
    return one ? one : other;
}

/// The longest that any attempt may take by the configuration.
shm::Nanos longest_timeout(const RouterConfig& config) {
    shm::Nanos longest = config.weir.upstream_timeout;
    const auto consider = [&](const std::optional<shm::Nanos>& timeout) {
        if (timeout) longest = std::max(longest, *timeout);
    };
    consider(config.timeout);
    consider(config.stream_timeout);
    for (const DeploymentConfig& deployment : config.model_list) {
        consider(deployment.timeout);
        consider(deployment.stream_timeout);
    }
    return longest;
}

/// Options that were lowered, by name.
class Lowered {
 public:
    template <class T>
    void lower(std::string_view name, std::optional<T>& asked, T most) {
        if (!asked || *asked <= most) return;
        asked = most;
        add(name);
    }
    void add(std::string_view name) {
        if (!names_.empty()) names_ += ", ";
        names_ += name;
    }
    std::string take() { return std::move(names_); }

 private:
    std::string names_;
};

}  // namespace

RequestBounds bounds_of(const RouterConfig& config, const RequestBounds& general,
                        const RequestBounds& own) {
    RequestBounds bounds;
    bounds.num_retries = first_of(own.num_retries, general.num_retries);
    bounds.configured_retries = config.retries.num_retries;
    for (const DeploymentConfig& deployment : config.model_list) {
        bounds.configured_retries =
            std::max(bounds.configured_retries, deployment.num_retries.value_or(0));
    }
    bounds.timeout = first_of(own.timeout, general.timeout).value_or(longest_timeout(config));
    bounds.max_wait =
        first_of(own.max_wait, general.max_wait)
            .value_or(std::max(config.weir.queue.max_wait, config.weir.upstream_timeout));
    bounds.priority = first_of(own.priority, general.priority)
                          .value_or(config.default_priority.value_or(kPriorityDefault));
    bounds.max_fallbacks =
        first_of(own.max_fallbacks, general.max_fallbacks).value_or(config.fallbacks.max_fallbacks);
    return bounds;
}

std::string apply_bounds(RequestFacts& facts, const RequestBounds& bounds) {
    Lowered lowered;
    lowered.lower("num_retries", facts.num_retries,
                  std::max(bounds.configured_retries, bounds.num_retries.value_or(0)));
    lowered.lower("timeout", facts.timeout_seconds, shm::to_seconds(*bounds.timeout));
    lowered.lower("stream_timeout", facts.stream_timeout_seconds, shm::to_seconds(*bounds.timeout));
    lowered.lower("max_wait_seconds", facts.max_wait_seconds, shm::to_seconds(*bounds.max_wait));
    if (facts.priority &&
        *facts.priority < *bounds.priority) {  // a lower number is the better priority
        facts.priority = *bounds.priority;
        lowered.add("priority");
    }
    if (facts.own_fallbacks) {
        lowered.lower("max_fallbacks", facts.own_fallbacks->max_fallbacks, *bounds.max_fallbacks);
    }
    return lowered.take();
}

std::uint32_t most_retries(std::uint32_t configured, std::optional<std::uint32_t> asked,
                           const RequestBounds* bounds) noexcept {
    if (!asked) return configured;
    if (bounds == nullptr) return *asked;
    return std::min(*asked, std::max(configured, bounds->num_retries.value_or(0)));
}

}  // namespace weir::router
