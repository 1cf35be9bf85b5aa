#include "loadtest/message.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <utility>

using namespace weir::loadtest;
using namespace std::chrono_literals;

namespace {

class Pair {
 public:
    Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_) == 0); }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        close_one();
        ::close(ends_[1]);
    }

    int one() const { return ends_[0]; }
    int other() const { return ends_[1]; }
    void close_one() {
        if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
    }

 private:
    int ends_[2] = {-1, -1};
};

}  // namespace

TEST_CASE("an order arrives as it was sent") {
    Pair pair;
    REQUIRE(send_message(pair.one(), Order{600, 5s}));
    Order order;
    REQUIRE(receive_message(pair.other(), order));
    CHECK(order.requests == 600);
    CHECK(order.start == 5s);
}

TEST_CASE("a report carries its batch and its error") {
    Pair pair;
    Report sent;
    sent.kind = Report::Kind::failed;
    sent.batch.end = 7s;
    sent.batch.tally.add(Outcome::timeout, 3);
    sent.set_error("no segment");
    REQUIRE(send_message(pair.one(), sent));
    Report got;
    REQUIRE(receive_message(pair.other(), got));
    CHECK(got.kind == Report::Kind::failed);
    CHECK(got.batch.end == 7s);
    CHECK(got.batch.tally.of(Outcome::timeout) == 3);
    CHECK(std::string(got.error.data()) == "no segment");
}

TEST_CASE("an error that is too long is cut and still ends in a zero") {
    Report report;
    report.set_error(std::string(10'000, 'x'));
    CHECK(std::string(report.error.data()) == std::string(report.error.size() - 1, 'x'));
}

TEST_CASE("a packet of another size is not taken for a message") {
    Pair pair;
    REQUIRE(::send(pair.one(), "short", 5, 0) == 5);
    Order order;
    CHECK_FALSE(receive_message(pair.other(), order));
}

TEST_CASE("a peer that is gone is told, not waited for and not a signal") {
    Pair pair;
    pair.close_one();
    Order order;
    CHECK_FALSE(receive_message(pair.other(), order));
    CHECK_FALSE(send_message(pair.other(), Order{}));
}

TEST_CASE("a message is waited for and a full socket too, also if the socket is non-blocking") {
    Pair pair;
    for (const int end : {pair.one(), pair.other()}) {
        REQUIRE(::fcntl(end, F_SETFL, ::fcntl(end, F_GETFL) | O_NONBLOCK) == 0);
    }
    constexpr std::uint64_t kMany = 2000;  // many times what a socket holds
    std::thread sender([&] {
        for (std::uint64_t i = 0; i < kMany; ++i) {
            Report report;
            report.index = i;
            send_message(pair.one(), report);
        }
    });
    std::uint64_t in_order = 0;
    for (Report got; in_order < kMany && receive_message(pair.other(), got) && got.index == in_order;) {
        ++in_order;
    }
    sender.join();
    CHECK(in_order == kMany);
}

TEST_CASE("a full socket is not waited for unless asked") {
    Pair pair;
    int sent = 0;
    while (sent < 1'000'000 && send_message(pair.one(), Report{}, false)) ++sent;
    CHECK(sent > 0);
    CHECK(sent < 1'000'000);
    Report report;
    for (int i = 0; i < sent; ++i) REQUIRE(receive_message(pair.other(), report));
    CHECK(send_message(pair.one(), Report{}, false));
}
