// Limits on tokens, several processes, some of them killed at random moments: no window of a
// deployment holds more answers than its tokens allow, by the upstream's own ledger.
//
// WEIR_LONG=1 runs it with windows of a minute, tpm 21000 and so 1,000 answers, for five minutes.
#include <catch2/catch.hpp>

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ledger.hpp"
#include "shm/inspector.hpp"
#include "tests/multiprocess/crew.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/wire/router/rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::test::Child;
using weir::test::FakeUpstream;

namespace {

constexpr std::uint64_t kTokensEach = 21;
// With a prompt, from which the size of others can be learned.
const std::string kQuestion = R"({"model":"m","messages":[{"role":"user","content":"How much is it?"}]})";
constexpr std::size_t kProcesses = 4;
constexpr int kAtOnce = 8;  // requests of one process

struct Plan {
    double window_seconds;
    std::uint64_t answers;  // that a deployment's tokens allow in a window
    int kills;
    long between_kills_ms;
};

Plan plan() {
    if (std::getenv("WEIR_LONG") != nullptr) return {60, 1000, 100, 3000};
    return {2, 100, 12, 500};
}

/// Asks again as soon as it has an answer, for as long as the process lives.
Task<void> ask_on(Router& router) {
    for (;;) co_await router.complete(kQuestion);
}

int work(const RouterConfig& config) {
    asio::io_context io{1};
    Router router(io, config, {"worker", 0});
    router.start();
    for (int i = 0; i < kAtOnce; ++i) {
        asio::co_spawn(io.get_executor(), ask_on(router), [](std::exception_ptr) {});
    }
    io.run();
    return 0;
}

void pause_ms(long milliseconds) {
    const timespec time{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
    ::nanosleep(&time, nullptr);
}

}  // namespace

TEST_CASE("tokens a window hold over processes that are killed at random") {
    const Plan test = plan();
    const FakeUpstream upstream;
    const std::string limit = "tpm: " + std::to_string(test.answers * kTokensEach);
    const Setup setup{entry("m", "a", upstream.base(), limit, "openai/gpt-a") +
                          entry("m", "b", upstream.base(), limit, "openai/gpt-b"),
                      "",
                      "window_seconds: " + std::to_string(test.window_seconds) +
                          ", queue: {max_wait_seconds: 600}"};
    Rig rig(setup);
    const RouterConfig config = config_of(setup, rig.scratch.name);
    std::mt19937 random(std::random_device{}());
    {
        std::array<std::optional<Child>, kProcesses> crew;
        for (auto& child : crew) child.emplace([&] { return work(config); });
        for (int kill = 0; kill < test.kills; ++kill) {
            const long more = static_cast<long>(random() % 1000) * test.between_kills_ms / 1000;
            pause_ms(test.between_kills_ms / 2 + more);
            auto& victim = crew[random() % crew.size()];
            victim.reset();
            victim.emplace([&] { return work(config); });
        }
    }
    // A request is admitted a little before it arrives: a second, or a quarter of a short window, is ample
    // for the way.
    const double span_seconds = test.window_seconds - std::min(1.0, test.window_seconds / 4);
    const auto span = static_cast<std::int64_t>(span_seconds * 1e9);
    const auto ledger = upstream.ledger();
    for (const char* model : {"gpt-a", "gpt-b"}) {
        INFO(model);
        CHECK(fullest(ledger, model, span) <= test.answers);
        CHECK(fullest(ledger, model, span) >= test.answers / 2);  // and it is used
    }
    // What the decisions themselves say is exact.
    const auto report = weir::shm::Inspector(rig.router().segment()).audit();
    CHECK_FALSE(report.violated);
    CHECK(report.decisions > 2 * test.answers);
    rig.router().participant().reap(weir::shm::now());
    CHECK(rig.in_flight("a") == 0);
    CHECK(rig.in_flight("b") == 0);
}
