// A cooldown that one process sets is obeyed by another at once: by its very next request.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "pipe.hpp"
#include "shm/health.hpp"
#include "shm/word.hpp"
#include "tests/multiprocess/crew.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/support/wait.hpp"
#include "tests/wire/router/rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Word;
using weir::shm::test::Child;
using weir::test::FakeUpstream;

namespace {

const std::string kQuestion = R"({"model":"m","messages":[]})";

/// Asks once, so that it is warm; then waits for the word, and asks again. 0 if that was refused for
/// the cooldown.
int obey(const RouterConfig& config, const Pipe& ready, const Pipe& word) {
    asio::io_context io{1};
    Router router(io, config, {"other", 0});
    router.start();
    if (run(io, router.complete(kQuestion)).status != 200) return 1;
    if (!ready.tell() || !word.hear()) return 2;
    const Reply reply = run(io, router.complete(kQuestion));
    return reply.status == 429 && reply.body.find("cooling down") != std::string::npos ? 0 : 3;
}

constexpr std::size_t kRounds = 20;

/// What the other process tells of each round; times of shm::now(), 0 as long as there is none.
struct Told {
    std::array<Word, kRounds> served;   // when the latest request that was answered began
    std::array<Word, kRounds> refused;  // when the first one began that was refused
};

std::uint64_t read(const Word& word) {
    return word.load(std::memory_order_acquire);  // ORDER(board): pairs with write
}
void write(Word& word, std::uint64_t value) {
    word.store(value, std::memory_order_release);  // ORDER(board): pairs with read
}

std::string model(std::size_t round) { return "m" + std::to_string(round); }

/// Asks for one model after the other, for each until it is refused.
int ask_until_refused(const RouterConfig& config, Told& told) {
    asio::io_context io{1};
    Router router(io, config, {"other", 0});
    router.start();
    for (std::size_t round = 0; round < kRounds; ++round) {
        const std::string question = R"({"model":")" + model(round) + R"(","messages":[]})";
        while (read(told.refused[round]) == 0) {
            const auto begin = static_cast<std::uint64_t>(weir::shm::now().count());
            const Reply reply = run(io, router.complete(question));
            write(reply.status == 200 ? told.served[round] : told.refused[round], begin);
        }
    }
    return 0;
}

}  // namespace

TEST_CASE("a cooldown is obeyed by the next request of every other process") {
    const FakeUpstream upstream;
    const Setup setup{entry("m", "a", upstream.base()), "num_retries: 0"};
    Rig rig(setup);
    const RouterConfig config = config_of(setup, rig.scratch.name);
    const Pipe ready;
    const Pipe word;
    Child other([&] { return obey(config, ready, word); });
    REQUIRE(ready.hear());
    upstream.play(R"([{"status":429,"headers":{"retry-after":"30"}}])");
    CHECK(rig.ask(kQuestion).status == 429);
    REQUIRE(word.tell());
    CHECK(other.wait() == 0);
    CHECK(upstream.arrivals() == 2);  // the refused one has never got there
}

TEST_CASE("no request of another process that begins after a cooldown was set is served") {
    const FakeUpstream upstream;
    std::string models;
    for (std::size_t round = 0; round < kRounds; ++round) {
        models += entry(model(round), model(round), upstream.base());
    }
    const Setup setup{models, "num_retries: 0"};
    Rig rig(setup);
    const RouterConfig config = config_of(setup, rig.scratch.name);
    const weir::shm::test::Shared<Told> told;
    Child other([&] { return ask_until_refused(config, *told); });
    std::vector<double> lags_ms;
    for (std::size_t round = 0; round < kRounds; ++round) {
        REQUIRE(weir::test::wait_until([&] { return read(told->served[round]) != 0; }));
        const weir::shm::Nanos before = weir::shm::now();
        weir::shm::set_cooldown(rig.deployment(model(round)).health(), before + std::chrono::minutes(1));
        const auto after = static_cast<std::uint64_t>(weir::shm::now().count());
        REQUIRE(weir::test::wait_until([&] { return read(told->refused[round]) != 0; }));
        CHECK(read(told->served[round]) <= after);
        const weir::shm::Nanos refused(static_cast<std::int64_t>(read(told->refused[round])));
        lags_ms.push_back(std::chrono::duration<double, std::milli>(refused - before).count());
    }
    CHECK(other.wait() == 0);
    std::sort(lags_ms.begin(), lags_ms.end());
    WARN("the first request that was refused began after " << lags_ms[kRounds / 2] << " ms (median), "
                                                           << lags_ms.back() << " ms (longest)");
}
