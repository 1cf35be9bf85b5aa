#include "router/request_bounds.hpp"

#include <catch2/catch.hpp>

#include "router/config.hpp"
#include "router/request.hpp"

using namespace weir::router;
using namespace std::chrono_literals;

namespace {

RequestFacts asking_for_much() {
    RequestFacts facts;
    facts.num_retries = 100;
    facts.timeout_seconds = 172'800;
    facts.stream_timeout_seconds = 9000;
    facts.max_wait_seconds = 86'400;
    facts.priority = 0;
    facts.own_fallbacks = OwnFallbacks{};
    facts.own_fallbacks->max_fallbacks = 99;
    return facts;
}

}  // namespace

TEST_CASE("without a word from the operator a key can raise nothing") {
    RouterConfig config;
    config.weir.upstream_timeout = 600s;
    const RequestBounds bounds = bounds_of(config, {}, {});
    RequestFacts facts = asking_for_much();
    CHECK(apply_bounds(facts, bounds) ==
          "num_retries, timeout, stream_timeout, max_wait_seconds, priority, max_fallbacks");
    CHECK(facts.num_retries == 2u);
    CHECK(facts.timeout_seconds == 600);
    CHECK(facts.stream_timeout_seconds == 600);
    CHECK(facts.max_wait_seconds == 600);
    CHECK(facts.priority == kPriorityDefault);
    CHECK(facts.own_fallbacks->max_fallbacks == 5);
    CHECK(most_retries(2, 100, &bounds) == 2);
}

TEST_CASE("a key can always ask for less") {
    const RouterConfig config;
    const RequestBounds bounds = bounds_of(config, {}, {});
    RequestFacts facts;
    facts.timeout_seconds = 0.5;
    facts.stream_timeout_seconds = 1;
    facts.max_wait_seconds = 0;
    facts.priority = 255;
    facts.own_fallbacks = OwnFallbacks{};
    facts.own_fallbacks->max_fallbacks = 0;
    CHECK(apply_bounds(facts, bounds).empty());
    CHECK(facts.timeout_seconds == 0.5);
    CHECK(facts.priority == 255);
    CHECK(facts.own_fallbacks->max_fallbacks == 0);
    CHECK(most_retries(2, 0, &bounds) == 0);
    CHECK(most_retries(2, std::nullopt, &bounds) == 2);
    RequestFacts nothing;
    CHECK(apply_bounds(nothing, bounds).empty());
    CHECK_FALSE(nothing.priority);
}

TEST_CASE("the operator says how far keys may go, and one key further") {
    RouterConfig config;
    config.default_priority = 100;
    DeploymentConfig slow;
    slow.timeout = 3000s;
    config.model_list.push_back(slow);
    config.weir.queue.max_wait = 900s;
    RequestBounds general;
    general.num_retries = 4;
    general.priority = 50;
    RequestBounds own;
    own.priority = 10;
    own.max_wait = 30s;
    const RequestBounds all = bounds_of(config, general, {});
    CHECK(all.timeout == 3000s);
    CHECK(all.max_wait == 900s);
    CHECK(all.priority == 50);
    CHECK(bounds_of(config, {}, {}).priority == 100);
    const RequestBounds one = bounds_of(config, general, own);
    CHECK(one.priority == 10);
    CHECK(one.max_wait == 30s);
    CHECK(one.num_retries == 4u);
    CHECK(most_retries(2, 100, &one) == 4);
    CHECK(most_retries(6, 100, &one) == 6);
    CHECK(most_retries(2, 3, &one) == 3);
}

TEST_CASE("nothing bounds the operator's own requests") {
    CHECK(most_retries(2, 100, nullptr) == 100);
}
