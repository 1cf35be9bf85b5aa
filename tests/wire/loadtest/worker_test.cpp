#include "loadtest/worker.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <thread>

#include "shm/clock.hpp"

using namespace weir::loadtest;
using namespace std::chrono_literals;

namespace {

/// What a worker made of its caller.
struct Seen {
    std::vector<std::string> bodies;
    bool stopped = false;
};

/// Answers when as many as expected are waiting at once: a batch that is not concurrent never ends. The
/// first batch succeeds, later ones are refused.
class Meeting final : public Caller {
 public:
    Meeting(asio::io_context& io, std::size_t expected, Seen& seen)
        : gate_(io), expected_(expected), seen_(seen) {
        gate_.expires_at(std::chrono::steady_clock::time_point::max());
    }

    Task<Outcome> call(std::string body) override {
        seen_.bodies.push_back(std::move(body));
        if (seen_.bodies.size() % expected_ == 0) {
            gate_.cancel();
        } else {
            co_await gate_.async_wait(weir::router::kAwait);
        }
        co_return seen_.bodies.size() == expected_ ? Outcome::success : Outcome::refused;
    }
    void stop() noexcept override { seen_.stopped = true; }

 private:
    weir::router::Timer gate_;
    std::size_t expected_;
    Seen& seen_;
};

class Failing final : public Caller {
 public:
    Task<Outcome> call(std::string) override {
        throw std::runtime_error("no segment");
        co_return Outcome::success;
    }
    void stop() noexcept override {}
};

/// A worker in a thread of its own, and the parent's end of its socket.
class Fixture {
 public:
    template <class MakeCaller>
    explicit Fixture(MakeCaller make_caller) {
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_) == 0);
        thread_ = std::thread([this, make_caller] {
            asio::io_context io(1);
            const auto caller = make_caller(io);
            try {
                Worker(io, *caller, ends_[1], "model", 7).run();
            } catch (const std::exception& error) {
                error_ = error.what();
            }
            ::shutdown(ends_[1], SHUT_RDWR);
        });
    }
    ~Fixture() {
        finish();
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    void order(std::uint64_t requests, Nanos start) {
        Order made;
        made.requests = requests;
        made.start = start;
        order(made);
    }
    void order(const Order& made) { REQUIRE(send_message(ends_[0], made)); }

    /// The next report that is not of progress.
    Report report() {
        Report got;
        do {
            if (!receive_message(ends_[0], got)) throw std::runtime_error("the worker is gone");
        } while (got.kind == Report::Kind::progress);
        return got;
    }

    /// No more orders: the worker ends. Returns what it threw.
    std::string finish() {
        ::shutdown(ends_[0], SHUT_WR);
        if (thread_.joinable()) thread_.join();
        return error_;
    }

 private:
    int ends_[2] = {-1, -1};
    std::string error_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("a worker sends a batch all at once, at the time ordered, and counts what became of it") {
    Seen seen;
    Fixture fixture([&](asio::io_context& io) { return std::make_unique<Meeting>(io, 50, seen); });
    CHECK(fixture.report().kind == Report::Kind::ready);

    const Nanos start = weir::shm::now() + 30ms;
    fixture.order(50, start);
    const Report first = fixture.report();
    CHECK(first.kind == Report::Kind::done);
    CHECK(first.batch.tally.successes() == 50);
    CHECK(first.batch.start >= start);
    CHECK(first.batch.end >= first.batch.start);
    CHECK(first.batch.end <= weir::shm::now());

    fixture.order(50, weir::shm::now());
    const Report second = fixture.report();
    CHECK(second.batch.tally.refusals() == 50);
    CHECK(second.batch.tally.total() == 50);
    CHECK(second.batch.start >= first.batch.end);

    CHECK(fixture.finish().empty());
    CHECK(seen.stopped);
    CHECK(std::set<std::string>(seen.bodies.begin(), seen.bodies.end()).size() == 100);  // no two alike
    CHECK(nlohmann::json::parse(seen.bodies[0])["model"] == "model");
}

TEST_CASE("an open loop waits for no answer, and tells what became of each slice") {
    Seen seen;
    Fixture fixture([&](asio::io_context& io) { return std::make_unique<Meeting>(io, 20, seen); });
    fixture.report();
    Order made;
    made.requests = 20;
    made.start = weir::shm::now() + 10ms;
    made.first = 1ms;
    made.interval = 2ms;  // due at 1, 3, 5 … 39 ms; all are answered when the last has been sent
    made.slice = 10ms;
    fixture.order(made);
    for (std::uint64_t i = 0; i < 4; ++i) {
        const Report slice = fixture.report();
        REQUIRE(slice.kind == Report::Kind::slice);
        CHECK(slice.index == i);
        CHECK(slice.batch.tally.successes() == 5);
        CHECK(slice.batch.start >= made.start + made.first + 10ms * i);
        CHECK(slice.batch.end >= made.start + 39ms);
    }
    const Report done = fixture.report();
    CHECK(done.kind == Report::Kind::done);
    CHECK(done.batch.tally.total() == 20);
    CHECK(done.latencies.count() == 20);
    CHECK(done.latencies.max() >= 38ms);  // of the first, since it was due
}

TEST_CASE("an order for nothing is done at once") {
    Seen seen;
    Fixture fixture([&](asio::io_context& io) { return std::make_unique<Meeting>(io, 1, seen); });
    fixture.report();
    fixture.order(0, weir::shm::now());
    const Report report = fixture.report();
    CHECK(report.kind == Report::Kind::done);
    CHECK(report.batch.tally.total() == 0);
}

TEST_CASE("what a call throws ends the worker") {
    Fixture fixture([](asio::io_context&) { return std::make_unique<Failing>(); });
    fixture.report();
    fixture.order(3, weir::shm::now());
    CHECK_THROWS_WITH(fixture.report(), "the worker is gone");
    CHECK(fixture.finish() == "no segment");
}
