// A quota that something else uses, too: what the upstream says is left is respected by all
// processes.
#include <catch2/catch.hpp>

#include "tests/multiprocess/crew.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/wire/router/rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::test::Child;
using weir::test::FakeUpstream;

namespace {

const std::string kQuestion = R"({"model":"m","messages":[]})";

int ask_many(const RouterConfig& config) {
    asio::io_context io{1};
    Router router(io, config, {"asker", 0});
    router.start();
    int last = 0;
    for (int i = 0; i < 60; ++i) last = static_cast<int>(run(io, router.complete(kQuestion)).status);
    return last == 429 ? 0 : 1;
}

}  // namespace

TEST_CASE("processes keep a quota of which others use a part, and hardly touch its end") {
    auto options = FakeUpstream::unlimited();
    options.desk.window.requests_max = 40;
    options.desk.ratelimit_headers = true;
    const FakeUpstream upstream(options);
    const Setup setup{entry("m", "a", upstream.base(), "rpm: 100"), "num_retries: 0"};
    Rig rig(setup);
    const RouterConfig config = config_of(setup, rig.scratch.name);
    for (int i = 0; i < 10; ++i) {  // somebody else
        weir::test::http(upstream.port(), "POST", "/v1/chat/completions", kQuestion);
    }
    {
        Child first([&] { return ask_many(config); });
        Child second([&] { return ask_many(config); });
        CHECK(first.wait() == 0);
        CHECK(second.wait() == 0);
    }
    std::size_t accepted = 0;
    std::size_t refused = 0;
    const auto ledger = upstream.ledger();
    for (const auto& arrival : ledger.at("arrivals")) {
        accepted += arrival.at("verdict") == "accepted" ? 1u : 0u;
        refused += arrival.at("verdict") == "refused" ? 1u : 0u;
    }
    CHECK(accepted == 40);  // all of it is used
    CHECK(refused <= 2);    // at most what each process had under way when it ended
    CHECK(rig.used("a") >= 100);  // by our own count 30 or so
    CHECK(rig.ask(kQuestion).status == 429);
}
