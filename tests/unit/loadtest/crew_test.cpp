#include "loadtest/crew.hpp"

#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "shm/clock.hpp"

using namespace weir::loadtest;
using namespace std::chrono_literals;

namespace {

constexpr auto kNoProgress = [](std::uint64_t) {};

/// A worker that counts every request as a success, in a batch of 10 ms from the time ordered.
void succeed(int socket, unsigned) {
    send_message(socket, Report{});
    for (Order order; receive_message(socket, order);) {
        Report report;
        report.kind = Report::Kind::done;
        report.batch.start = order.start;
        report.batch.end = order.start + 10ms;
        report.batch.tally.add(Outcome::success, order.requests);
        send_message(socket, report);
    }
}

}  // namespace

TEST_CASE("shares are equal to within one and add up") {
    for (const std::uint64_t requests : {0u, 1u, 2u, 599u, 600u, 601u}) {
        for (const unsigned workers : {1u, 2u, 3u, 7u}) {
            std::uint64_t sum = 0;
            for (unsigned i = 0; i < workers; ++i) {
                const std::uint64_t share = share_of(requests, workers, i);
                CHECK(share - requests / workers <= 1);
                sum += share;
            }
            CHECK(sum == requests);
        }
    }
}

TEST_CASE("a batch is the sum of what the workers did") {
    Crew crew(3, succeed);
    const Nanos before = weir::shm::now();
    const Batch batch = crew.run_batch(100, kNoProgress);
    CHECK(batch.tally.successes() == 100);
    CHECK(batch.start > before);
    CHECK(batch.end == batch.start + 10ms);  // all were told the same start
}

TEST_CASE("a batch smaller than the crew leaves some of it idle") {
    Crew crew(3, succeed);
    CHECK(crew.run_batch(1, kNoProgress).tally.total() == 1);
    CHECK(crew.run_batch(2, kNoProgress).tally.total() == 2);
}

TEST_CASE("progress is the sum over the workers and ends at the whole") {
    Crew crew(2, succeed);
    std::vector<std::uint64_t> shown;
    crew.run_batch(10, [&](std::uint64_t answered) { shown.push_back(answered); });
    CHECK(shown == std::vector<std::uint64_t>{5, 10});
}

TEST_CASE("an open loop is shared out in turn, and its slices are put together and in order") {
    // Each worker says of itself when its requests were due; one is late with the first slice.
    const auto tell = [](int socket, unsigned index) {
        send_message(socket, Report{});
        Order order;
        receive_message(socket, order);
        Report report;
        report.kind = Report::Kind::slice;
        for (const std::uint64_t slice : {0u, 2u}) {
            report.index = slice;
            report.batch = {};
            report.batch.start = slice == 0 ? 50ms : 20ms;
            report.batch.end = slice == 0 ? 90ms : 60ms;
            report.batch.tally.add(Outcome::success, order.requests);
            report.batch.tally.add(Outcome::refused, static_cast<std::uint64_t>(order.first / 1ms));
            report.batch.tally.add(Outcome::timeout, static_cast<std::uint64_t>(order.interval / 1ms));
            send_message(socket, report);
        }
        report.kind = Report::Kind::done;
        report.latencies.add(1ms * (index + 1));
        send_message(socket, report);
        receive_message(socket, order);
    };
    Crew crew(2, tell);
    const OpenLoop loop = crew.run_open_loop(5, 3ms, 6ms, kNoProgress);
    REQUIRE(loop.slices.size() == 2);  // nothing was due in the one between
    for (const Batch& slice : loop.slices) {
        CHECK(slice.tally.successes() == 5);
        CHECK(slice.tally.refusals() == 3);             // the second began one interval later
        CHECK(slice.tally.of(Outcome::timeout) == 12);  // each has every second one
        CHECK(slice.start == 20ms);
        CHECK(slice.end == 90ms);
    }
    CHECK(loop.latencies.count() == 2);
    CHECK(loop.latencies.max() == 2ms);
}

TEST_CASE("a worker that cannot start says why") {
    const auto fail = [](int, unsigned index) {
        if (index == 1) throw std::runtime_error("no room for the segment");
    };
    CHECK_THROWS_WITH(Crew(2, [&](int socket, unsigned index) {
                          fail(socket, index);
                          succeed(socket, index);
                      }),
                      "no room for the segment");
}

TEST_CASE("a worker that is killed in a batch is noticed and named") {
    const auto die = [](int socket, unsigned index) {
        if (index == 0) return succeed(socket, index);
        send_message(socket, Report{});
        Order order;
        receive_message(socket, order);
        ::kill(::getpid(), SIGKILL);
    };
    Crew crew(2, die);
    CHECK_THROWS_WITH(crew.run_batch(10, kNoProgress), "worker 1 was killed by signal 9");
}

TEST_CASE("a worker that ends in a pause is noticed") {
    Crew crew(1, [](int socket, unsigned) { send_message(socket, Report{}); });
    CHECK_THROWS_WITH(crew.pause(10s), "worker 0 ended with status 0");
}

TEST_CASE("a pause lasts as long as it should") {
    Crew crew(1, succeed);
    const Nanos before = weir::shm::now();
    crew.pause(30ms);
    CHECK(weir::shm::now() - before >= 30ms);
}
