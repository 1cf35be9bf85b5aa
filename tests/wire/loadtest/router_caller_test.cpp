#include "loadtest/router_caller.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/scratch.hpp"
#include "tests/wire/fake_server/running.hpp"
#include "tests/wire/loadtest/awaited.hpp"

using namespace weir::loadtest;
using namespace weir::loadtest::test;
using weir::fake_server::test::Running;

namespace {

constexpr const char* kQuestion = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";

weir::router::RouterConfig config_for(std::uint16_t port, const std::string& segment, int rpm) {
    const std::string text =
        "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k, api_base: "
        "\"http://127.0.0.1:" + std::to_string(port) + "\", rpm: " + std::to_string(rpm) + "}}]\n"
        "router_settings: {num_retries: 0}\nweir_settings: {segment: " + segment + "}\n";
    const auto loaded = weir::router::parse_config(text);
    REQUIRE(loaded.ok());
    return loaded.config;
}

long successes(RouterCaller& caller, asio::io_context& io, int calls) {
    std::vector<Task<Outcome>> tasks;
    for (int i = 0; i < calls; ++i) tasks.push_back(caller.call(kQuestion));
    std::vector<Outcome> outcomes(tasks.size());
    std::size_t left = tasks.size();
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        asio::co_spawn(io, std::move(tasks[i]), [&, i](std::exception_ptr error, Outcome outcome) {
            if (error) std::rethrow_exception(error);
            outcomes[i] = outcome;
            // The routers' housekeeping would keep the io_context running.
            if (--left == 0) caller.stop();
        });
    }
    io.run();
    for (const Outcome outcome : outcomes) {
        CHECK((outcome == Outcome::success || outcome == Outcome::refused));
    }
    return std::count(outcomes.begin(), outcomes.end(), Outcome::success);
}

}  // namespace

TEST_CASE("the routers of a caller share their limit, and those of another join it") {
    const weir::test::ScratchSegment segment;
    const Running upstream;
    const auto config = config_for(upstream.port(), segment.name(), 15);
    {
        asio::io_context io(1);
        RouterCaller caller(io, config, 3, 7);
        CHECK(successes(caller, io, 10) == 10);
    }
    asio::io_context io(1);
    RouterCaller caller(io, config, 2, 7);
    CHECK(successes(caller, io, 60) == 5);
}
