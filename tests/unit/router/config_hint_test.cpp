#include "router/config_hint.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace weir::router;

namespace {

constexpr std::array<std::string_view, 6> kKnown = {"rpm_limit",    "routing_strategy", "num_retries",
                                                    "retry_policy", "redis_host",       "redis_port"};

std::string_view near(std::string_view key) { return near_name(key, kKnown); }

}  // namespace

TEST_CASE("a slip of a few letters is known for what it is") {
    CHECK(near("routing_stratgy") == "routing_strategy");
    CHECK(near("routing_strategyy") == "routing_strategy");
    CHECK(near("rotuing_strategy") == "routing_strategy");
    CHECK(near("Routing-Strategy") == "routing_strategy");
    CHECK(near("num_retry") == "num_retries");
    CHECK(near("redis_prot") == "redis_port");
    CHECK(near("redis_hots") == "redis_host");
}

TEST_CASE("nothing is guessed where nothing is near") {
    CHECK(near("").empty());
    CHECK(near("rpm").empty());
    CHECK(near("surprise").empty());
    CHECK(near("strategy").empty());
    CHECK(near(std::string(10'000, 'r')).empty());
    CHECK(near_name("num_retries", {}).empty());
}

TEST_CASE("a hint names the longer form, or the section, or the near name") {
    CHECK(hint_for("rpm", kKnown) == "; rpm_limit may be meant");
    CHECK(hint_for("master_key", kKnown) == "; it belongs in general_settings");
    CHECK(hint_for("num_retries", {}) ==
          "; it belongs in router_settings or litellm_settings or litellm_params");
    CHECK(hint_for("model_list", kKnown) == "; it belongs in the top of the file");
    CHECK(hint_for("num_retrys", kKnown) == "; num_retries may be meant");
    CHECK(hint_for("surprise", kKnown).empty());
}
