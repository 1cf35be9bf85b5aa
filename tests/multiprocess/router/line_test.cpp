// One order for the requests that wait in several processes: by priority, then by arrival, while capacity
// comes back one piece at a time; and processes that die or stop at the head of it.
#include <catch2/catch.hpp>

#include <signal.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "pipe.hpp"
#include "tests/multiprocess/crew.hpp"
#include "tests/support/fake_upstream.hpp"
#include "tests/support/wait.hpp"
#include "tests/wire/router/rig.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::test::Child;
using weir::test::FakeUpstream;
using weir::test::pause_for;

namespace {

/// A request to be sent.
struct Order {
    int number = 0;  // kEnough: none, nor any more
    int priority = 0;
};
constexpr int kEnough = -1;

std::string question(const Order& order) {
    return R"({"model":"x-)" + std::to_string(order.number) + R"(","messages":[],"priority":)" +
           std::to_string(order.priority) + "}";
}

/// Sends what it is told to, and says when it waits. Ends when that was enough and all have been
/// answered; 0 if all were answered well.
int send_as_told(const RouterConfig& config, const Pipe& orders, const Pipe& waiting) {
    asio::io_context io{1};
    Router router(io, config, {"sender", 0});
    router.start();
    std::deque<std::optional<Reply>> replies;
    const auto answered = [&](const auto& reply) { return reply.has_value(); };
    std::size_t told = 0;
    for (bool more = true; more || !std::all_of(replies.begin(), replies.end(), answered);) {
        io.run_one_for(std::chrono::milliseconds(1));
        if (router.waiting() > told) {
            ++told;
            if (!waiting.tell()) return 2;
        }
        if (!more || !orders.has_news()) continue;
        Order order;
        more = orders.read(order) && order.number != kEnough;
        if (!more) continue;
        auto& place = replies.emplace_back();
        asio::co_spawn(io.get_executor(), router.complete(question(order)),
                       [&place](std::exception_ptr, Reply reply) { place = std::move(reply); });
    }
    const auto well = [](const auto& reply) { return reply->status == 200; };
    return std::all_of(replies.begin(), replies.end(), well) ? 0 : 1;
}

/// Processes that wait for the one slot of a deployment, which the test holds until it lets go.
class Queue {
 public:
    explicit Queue(std::size_t processes) {
        slot_ = rig_.router().participant().admit({{}, {&gauge_, 1}}, weir::shm::now());
        const RouterConfig config = config_of(setup_, rig_.scratch.name);
        for (std::size_t i = 0; i < processes; ++i) {
            auto& clerk = clerks_.emplace_back(std::make_unique<Clerk>());
            clerk->child.emplace(
                [&] { return send_as_told(config, clerk->orders, clerk->waiting); });
        }
    }

    /// Returns when that request waits, and whatever comes next will have come later.
    void stand(std::size_t process, const Order& order) {
        REQUIRE(clerks_[process]->orders.write(order));
        REQUIRE(clerks_[process]->waiting.hear());
        pause_for(std::chrono::milliseconds(12));  // more than shm::kArrivalSlack
    }

    void let_go() { slot_.ticket.close(); }

    void signal(std::size_t process, int number) { ::kill(clerks_[process]->child->pid(), number); }
    void end(std::size_t process) { clerks_[process]->child.reset(); }

    /// No more orders; what the process ends with when all have been answered.
    int finish(std::size_t process) {
        if (!clerks_[process]->orders.write(Order{kEnough, 0})) return -1;
        return clerks_[process]->child->wait();
    }

    /// The numbers of the requests in the order in which they were admitted.
    std::vector<int> served() const {
        std::vector<int> numbers;
        const auto ledger = upstream_.ledger();
        for (const auto& arrival : ledger.at("arrivals")) {
            numbers.push_back(std::stoi(arrival.at("model").get<std::string>().substr(2)));
        }
        return numbers;
    }

 private:
    struct Clerk {
        Pipe orders;
        Pipe waiting;
        std::optional<Child> child;
    };

    FakeUpstream upstream_;
    Setup setup_{entry("x-*", "a", upstream_.base(), "max_parallel_requests: 1", "openai/y-*"), "",
                 "queue: {max_wait_seconds: 60}"};
    Rig rig_{setup_};
    weir::shm::Gauge gauge_ = rig_.deployment("a").in_flight();
    weir::shm::Admission slot_;
    std::vector<std::unique_ptr<Clerk>> clerks_;
};

}  // namespace

TEST_CASE("what returns piece by piece goes by priority, then by arrival, in whatever processes they wait") {
    Queue queue(3);
    std::vector<Order> orders;
    for (const int priority :
         {128, 128, 200, 128, 5, 200, 5, 128, 0, 255, 128, 6, 5, 128, 200, 4, 128, 129}) {
        orders.push_back({static_cast<int>(orders.size()), priority});
    }
    for (const Order& order : orders) {
        // Eleven in the first, five in the second, two in the third.
        const std::size_t process = order.number % 9 == 8 ? 2 : order.number % 3 == 1 ? 1 : 0;
        queue.stand(process, order);
    }
    queue.let_go();
    for (std::size_t process = 0; process < 3; ++process) CHECK(queue.finish(process) == 0);
    std::stable_sort(orders.begin(), orders.end(),
                     [](const Order& a, const Order& b) { return a.priority < b.priority; });
    std::vector<int> expected;
    for (const Order& order : orders) expected.push_back(order.number);
    CHECK(queue.served() == expected);
}

TEST_CASE("whoever dies at the head of the line holds up nobody") {
    Queue queue(2);
    queue.stand(0, {0, 1});
    queue.stand(1, {1, 128});
    queue.stand(0, {2, 2});
    queue.stand(1, {3, 128});
    queue.end(0);
    queue.let_go();
    CHECK(queue.finish(1) == 0);
    CHECK(queue.served() == std::vector<int>{1, 3});
}

TEST_CASE("whoever is stopped at the head of the line is passed over, and served when it goes on") {
    Queue queue(2);
    queue.stand(0, {0, 1});
    queue.stand(1, {1, 128});
    queue.signal(0, SIGSTOP);
    queue.let_go();
    CHECK(queue.finish(1) == 0);
    CHECK(queue.served() == std::vector<int>{1});
    queue.signal(0, SIGCONT);
    CHECK(queue.finish(0) == 0);
    CHECK(queue.served() == std::vector<int>{1, 0});
}
