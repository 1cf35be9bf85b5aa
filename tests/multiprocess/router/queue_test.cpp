// Two processes, three times as many requests as a window allows: all succeed within three windows,
// and no window is exceeded, by the upstream's ledger and by the recorded decisions.
#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>

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

constexpr int kRequests = 300;  // of each process
constexpr std::uint64_t kLimit = 200;

/// Sends all at once; 0 if each has been answered well.
int send_all(const RouterConfig& config) {
    asio::io_context io{1};
    Router router(io, config, {"sender", 0});
    router.start();
    int answered = 0;
    int well = 0;
    for (int i = 0; i < kRequests; ++i) {
        asio::co_spawn(io.get_executor(), router.complete(R"({"model":"m","messages":[]})"),
                       [&](std::exception_ptr, const Reply& reply) {
                           ++answered;
                           well += reply.status == 200 ? 1 : 0;
                       });
    }
    while (answered < kRequests) io.run_one();
    return well == kRequests ? 0 : 1;
}

}  // namespace

TEST_CASE("600 requests over a quota of 200 a window all succeed in three windows, none exceeded") {
    const FakeUpstream upstream;
    const Setup setup{entry("m", "a", upstream.base(), "rpm: 200"), "",
                      "window_seconds: 1, queue: {max_wait_seconds: 50}"};
    Rig rig(setup);
    const RouterConfig config = config_of(setup, rig.scratch.name);
    {
        Child first([&] { return send_all(config); });
        Child second([&] { return send_all(config); });
        CHECK(first.wait() == 0);
        CHECK(second.wait() == 0);
    }
    // By the upstream's own record: all of them, and at most 200 in three quarters of a window, which is
    // generous for the way there. By the decisions themselves, below, it is exact.
    const auto ledger = upstream.ledger();
    CHECK(ledger.at("arrivals").size() == 2 * kRequests);
    CHECK(fullest(ledger, "gpt", 750'000'000) <= kLimit);
    CHECK(fullest(ledger, "gpt", 750'000'000) >= kLimit / 2);

    const weir::shm::Inspector inspector(rig.router().segment());
    const auto report = inspector.audit();
    REQUIRE_FALSE(report.limiters.empty());
    CHECK_FALSE(report.violated);
    CHECK(report.limiters.front().finding.admissions == 2 * kRequests);
    CHECK(report.limiters.front().finding.worst == kLimit);  // full windows, and none fuller
    auto decisions = inspector.decisions(100'000);
    decisions.erase(std::remove_if(decisions.begin(), decisions.end(),
                                   [](const auto& d) {
                                       return d.decided.kind != weir::shm::Recorded::admit ||
                                              d.limiter.find("deployment") == std::string::npos;
                                   }),
                    decisions.end());
    REQUIRE(decisions.size() == 2 * kRequests);
    const auto span = decisions.back().decided.time_ns - decisions.front().decided.time_ns;
    CHECK(span >= 2'000'000'000);
    CHECK(span < 3'000'000'000);
    CHECK(rig.in_flight("a") == 0);
}
