// A cooldown that one process sets is obeyed by another at once: by its very next request.
#include <catch2/catch.hpp>

#include "pipe.hpp"
#include "tests/multiprocess/crew.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/wire/router/rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
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
