// Upstreams that fail, stall, break off, talk nonsense and refuse at random, asked by several processes at
// once: every request comes to an end that fits, and afterwards the segment balances. Nothing is in flight,
// and each deployment and each caller has been charged exactly what the scripts add up to.
//
// WEIR_LONG=1 sends fifty times as many requests. The seed is printed; WEIR_SEED=N repeats one.
#include <catch2/catch.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "pipe.hpp"
#include "tests/multiprocess/crew.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/support/long_form.hpp"
#include "tests/wire/router/rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Unit;
using weir::shm::test::Child;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kProcesses = 4;
constexpr std::size_t kAtOnce = 8;  // requests of one process
constexpr std::size_t kSteps = 97;
constexpr std::uint64_t kUsed = 21;
/// A token for an empty prompt, and the 50 that every request allows.
constexpr std::uint64_t kReserved = 51;

/// What an upstream may do to a request, and the tokens that this costs.
struct Misdeed {
    const char* step;
    std::uint64_t tokens;
    unsigned weight;
};
constexpr std::array kMisdeeds = {
    Misdeed{"{}", kUsed, 36},
    Misdeed{R"({"chunk_bytes":40,"chunk_delay_ms":1})", kUsed, 12},
    Misdeed{R"({"stall_ms":20})", kUsed, 6},
    Misdeed{R"({"no_usage":true})", kReserved, 6},
    Misdeed{R"({"status":500})", 0, 12},
    Misdeed{R"({"status":429,"headers":{"retry-after-ms":"20"}})", 0, 10},
    Misdeed{R"({"status":400})", 0, 4},
    Misdeed{R"({"cut_after_bytes":20})", kReserved, 6},
    Misdeed{R"({"cut_after_bytes":0,"reset":true})", kReserved, 2},
    Misdeed{R"({"malformed":"http"})", kReserved, 4},
    Misdeed{R"({"stall_ms":600000})", kReserved, 1},
};

/// A script without end, and what it costs.
class Script {
 public:
    explicit Script(std::mt19937_64& random) {
        std::array<unsigned, kMisdeeds.size()> weights{};
        for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = kMisdeeds[i].weight;
        std::discrete_distribution<std::size_t> pick(weights.begin(), weights.end());
        for (std::size_t i = 0; i < kSteps; ++i) steps_.push_back(&kMisdeeds[pick(random)]);
    }
    std::string json() const {
        std::string list;
        for (const Misdeed* step : steps_) list += (list.empty() ? "" : ",") + std::string(step->step);
        return R"({"steps":[)" + list + R"(],"repeat":true})";
    }
    std::uint64_t tokens_of(std::size_t requests) const {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < requests; ++i) sum += steps_[i % kSteps]->tokens;
        return sum;
    }

 private:
    std::vector<const Misdeed*> steps_;
};

/// What a process has seen.
struct Witness {
    std::uint64_t answered = 0;
    std::uint64_t whole = 0;
    std::uint64_t odd = 0;     ///< ends that fit no misdeed
    std::uint64_t tokens = 0;  ///< that its caller must have been charged
};

/// An answer that was worked on costs what it says, or else what was reserved; a refusal costs nothing.
std::uint64_t cost_of(const Reply& reply) {
    if (reply.deployment_id.empty()) return 0;
    if (reply.status == 200) return reply.usage ? reply.usage->total_tokens : kReserved;
    const bool upstreams_own = reply.fields.size() > 0;
    return upstreams_own ? 0 : kReserved;
}

bool fits(const Reply& reply, bool stream) {
    const bool whole = stream ? contains(reply.body, "data: [DONE]") : nlohmann::json::accept(reply.body);
    switch (reply.status) {
        case 200: return whole;
        case 400: case 408: case 429: case 500: case 502: return contains(reply.body, "error");
        default: return false;
    }
}

/// One of those that ask at the same time, until none is left to be sent.
Task<void> ask_on(Router& router, const CompleteOptions& options, std::uint64_t& left,
                  std::mt19937_64& random, Witness& seen) {
    while (left > 0) {
        --left;
        const bool stream = random() % 2 == 0;
        const std::string body = R"({"model":"m","messages":[],"max_tokens":50,"priority":)" +
                                 std::to_string(random() % 256) + (stream ? R"(,"stream":true})" : "}");
        const Reply reply = co_await router.complete(body, options);
        ++seen.answered;
        if (reply.status == 200) ++seen.whole;
        if (!fits(reply, stream)) ++seen.odd;
        seen.tokens += cost_of(reply);
    }
}

/// Limits of whoever asks, the same in all processes.
Scope caller_scope(Router& router, Unit unit) {
    Scope scope{"caller", "everybody", unit, 24h, 1'000'000'000, {}};
    scope.look_up(router.segment());
    return scope;
}

int work(const RouterConfig& config, std::uint64_t requests, std::uint64_t seed, const Pipe& out) {
    asio::io_context io{1};
    Router router(io, config, {"worker", seed});
    router.start();
    std::mt19937_64 random(seed);
    Scope counted = caller_scope(router, Unit::requests);
    Scope tokens = caller_scope(router, Unit::tokens);
    Scope* const scopes[] = {&counted, &tokens};
    CompleteOptions options;
    options.caller.scopes = scopes;
    Witness seen;
    std::size_t running = kAtOnce;
    for (std::size_t i = 0; i < kAtOnce; ++i) {
        asio::co_spawn(io.get_executor(), ask_on(router, options, requests, random, seen),
                       [&](std::exception_ptr) {
                           if (--running == 0) router.stop();
                       });
    }
    io.run();
    return out.write(seen) ? 0 : 1;
}

std::uint64_t chosen_seed() {
    const char* text = std::getenv("WEIR_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

}  // namespace

TEST_CASE("processes balance to the last token whatever their upstreams do") {
    const std::uint64_t seed = chosen_seed();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    const std::uint64_t requests = weir::test::long_form() ? 6000 : 120;

    const std::array<std::string, 3> ids = {"a", "b", "c"};
    std::array<FakeUpstream, 3> upstreams;
    std::vector<Script> scripts;
    std::string models;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        upstreams[i].play(scripts.emplace_back(random).json());
        models += entry(i < 2 ? "m" : "n", ids[i], upstreams[i].base(),
                        "rpm: 1000000, tpm: 1000000000, timeout: 5, max_parallel_requests: 10");
    }
    const Setup setup{models, "num_retries: 2, cooldown_time: 0.05, fallbacks: [{m: [n]}]",
                      "window_seconds: 86400, queue: {max_wait_seconds: 60}"};
    Rig rig(setup);
    const RouterConfig config = config_of(setup, rig.scratch.name);

    Witness sum;
    {
        std::array<Pipe, kProcesses> pipes;
        std::vector<Child> crew;
        for (const Pipe& pipe : pipes) {
            const std::uint64_t own = random();
            crew.emplace_back([&, own] { return work(config, requests, own, pipe); });
        }
        for (Child& child : crew) CHECK(child.wait() == 0);
        for (const Pipe& pipe : pipes) {
            Witness seen;
            REQUIRE(pipe.read(seen));
            sum.answered += seen.answered;
            sum.whole += seen.whole;
            sum.odd += seen.odd;
            sum.tokens += seen.tokens;
        }
    }
    CHECK(sum.answered == kProcesses * requests);
    CHECK(sum.odd == 0);
    CHECK(sum.whole > sum.answered / 2);
    CHECK(sum.whole < sum.answered);  // or nothing has gone wrong, and nothing was tested

    for (std::size_t i = 0; i < ids.size(); ++i) {
        CAPTURE(ids[i]);
        const std::size_t arrivals = upstreams[i].arrivals();
        CHECK(arrivals > 0);
        CHECK(rig.in_flight(ids[i]) == 0);
        CHECK(rig.used(ids[i]) == arrivals);
        CHECK(rig.tokens(ids[i]) == scripts[i].tokens_of(arrivals));
    }
    const auto used = [&](Unit unit) {
        return rig.router()
            .participant()
            .usage(caller_scope(rig.router(), unit).limiter, weir::shm::now())
            .used;
    };
    CHECK(used(Unit::requests) <= sum.answered);  // those that nobody was asked for do not count
    CHECK(used(Unit::tokens) == sum.tokens);
}
