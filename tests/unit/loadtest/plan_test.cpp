#include "loadtest/plan.hpp"

#include <catch2/catch.hpp>

using namespace weir::loadtest;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

weir::router::DeploymentConfig deployment(const std::string& api_base, std::optional<std::uint64_t> rpm,
                                          const std::string& model_name = "fake-openai-endpoint") {
    weir::router::DeploymentConfig made;
    made.model_name = model_name;
    made.api_base = api_base;
    made.rpm = rpm;
    return made;
}

/// Two upstreams of 100 each, and one of another model.
weir::router::RouterConfig two_upstreams() {
    weir::router::RouterConfig config;
    config.model_list = {deployment("http://0.0.0.0:8080", 100), deployment("http://0.0.0.0:8081/v1", 100),
                         deployment("http://0.0.0.0:8080", 7, "other")};
    config.weir.window = 6s;
    return config;
}

Options router_options() {
    Options options;
    options.mode = Mode::router;
    options.config = "some.yaml";
    return options;
}

Options proxy_options() {
    Options options;
    options.urls = {"http://127.0.0.1:4000", "http://127.0.0.1:4001/base"};
    return options;
}

}  // namespace

TEST_CASE("a proxy plan has the addresses taken apart, and nothing to judge by but what is asked for") {
    Options options = proxy_options();
    options.ledgers = {"http://127.0.0.1:8080"};
    Lines complaints;
    const auto plan = make_plan(options, complaints);
    REQUIRE(plan);
    CHECK(complaints.empty());
    REQUIRE(plan->proxies.size() == 2);
    CHECK(plan->proxies[1].port == 4001);
    CHECK(plan->proxies[1].path == "/base");
    CHECK(plan->rules.window == 60s);
    CHECK_FALSE(plan->rules.expect);
    CHECK_FALSE(plan->rules.limit);
    REQUIRE(plan->ledgers.size() == 1);
    CHECK(plan->ledgers[0].url.port == 8080);
    CHECK_FALSE(plan->ledgers[0].limit);  // the upstream's own
    CHECK(plan->rules.batch_word == "batch");
    options.rate = 10;
    CHECK(make_plan(options, complaints)->rules.batch_word == "slice");
}

TEST_CASE("what the command line says of the rules is taken over") {
    Options options = proxy_options();
    options.ledgers = {"http://127.0.0.1:8080"};
    options.limit = 100;
    options.expect = 200;
    options.window_seconds = 2.5;
    options.transit_ms = 40;
    Lines complaints;
    const auto plan = make_plan(options, complaints);
    REQUIRE(plan);
    CHECK(plan->rules.window == 2500ms);
    CHECK(plan->rules.expect == 200);
    CHECK(plan->rules.transit == 40ms);
    CHECK(plan->ledgers[0].limit == 100);
}

TEST_CASE("every bad address is complained about in one run") {
    Options options = proxy_options();
    options.urls = {"127.0.0.1:4000", "https://example.com"};
    options.ledgers = {"http://:99999"};
    Lines complaints;
    CHECK_FALSE(make_plan(options, complaints));
    REQUIRE(complaints.size() == 3);
    CHECK(complaints[0].substr(0, 13) == "error: --url:");
    CHECK(complaints[1] == "error: --url: https://example.com: https is not supported here");
    CHECK(complaints[2].substr(0, 16) == "error: --ledger:");
}

TEST_CASE("in router mode the limits and the window come from the configuration") {
    Options options = router_options();
    options.ledgers = {"http://0.0.0.0:8080", "http://0.0.0.0:8081", "http://0.0.0.0:9"};
    Lines complaints;
    const auto plan = make_plan(options, two_upstreams(), complaints);
    REQUIRE(plan);
    CHECK(plan->rules.window == 6s);
    CHECK(plan->rules.limit == 200);
    CHECK(plan->ledgers[0].limit == 100);  // not the other model's
    CHECK(plan->ledgers[1].limit == 100);  // by host and port, whatever the path
    CHECK_FALSE(plan->ledgers[2].limit);   // none of ours
}

TEST_CASE("the command line goes before the configuration") {
    Options options = router_options();
    options.ledgers = {"http://0.0.0.0:8080"};
    options.limit = 30;
    options.window_seconds = 3;
    Lines complaints;
    const auto plan = make_plan(options, two_upstreams(), complaints);
    REQUIRE(plan);
    CHECK(plan->rules.window == 3s);
    CHECK(plan->ledgers[0].limit == 30);
}

TEST_CASE("deployments at one upstream add up") {
    auto config = two_upstreams();
    config.model_list.push_back(deployment("http://0.0.0.0:8080", 20));
    Options options = router_options();
    options.ledgers = {"http://0.0.0.0:8080"};
    Lines complaints;
    const auto plan = make_plan(options, config, complaints);
    REQUIRE(plan);
    CHECK(plan->ledgers[0].limit == 120);
    CHECK(plan->rules.limit == 220);
}

TEST_CASE("one deployment without a limit means no limit over all") {
    auto config = two_upstreams();
    config.model_list[1].rpm.reset();
    Lines complaints;
    const auto plan = make_plan(router_options(), config, complaints);
    REQUIRE(plan);
    CHECK_FALSE(plan->rules.limit);
}

TEST_CASE("a model that nobody has is an error before anything is sent") {
    Options options = router_options();
    options.model = "gpt-9";
    Lines complaints;
    CHECK_FALSE(make_plan(options, two_upstreams(), complaints));
    CHECK(complaints ==
          Lines{"error: some.yaml: no deployment has the model_name \"gpt-9\" (see --model)"});
}

TEST_CASE("a configuration that cannot be read is an error with its file") {
    Options options = router_options();
    options.config = "/nonexistent/config.yaml";
    Lines complaints;
    CHECK_FALSE(make_plan(options, complaints));
    REQUIRE(complaints.size() == 1);
    CHECK(complaints[0].find("/nonexistent/config.yaml") != std::string::npos);
}

TEST_CASE("a limit on tokens is one on answers, for who says how many tokens those use") {
    weir::router::RouterConfig config = two_upstreams();
    for (auto& entry : config.model_list) entry.tpm = 2100;
    config.model_list[1].rpm.reset();
    Options options = router_options();
    options.ledgers = {"http://0.0.0.0:8080", "http://0.0.0.0:8081"};
    Lines complaints;
    CHECK_FALSE(make_plan(options, config, complaints)->rules.limit);
    options.answer_tokens = 30;
    auto plan = make_plan(options, config, complaints);
    REQUIRE(plan);
    CHECK(plan->rules.limit == 140u);
    CHECK(plan->rules.answer_tokens == 30u);
    CHECK(plan->ledgers[0].limit == 70u);
    CHECK(plan->ledgers[0].token_limit == 2100u);
    options.answer_tokens = 20;  // 105 answers, but 100 requests
    plan = make_plan(options, config, complaints);
    CHECK(plan->ledgers[0].limit == 100u);
    CHECK_FALSE(plan->ledgers[0].token_limit);
    CHECK(plan->ledgers[1].limit == 105u);
    options.tpm = 600;  // goes before the configuration
    CHECK(make_plan(options, config, complaints)->ledgers[1].limit == 30u);
    CHECK(complaints.empty());
}
