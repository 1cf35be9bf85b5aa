// Requests that wait for capacity instead of being refused.
#include <catch2/catch.hpp>

#include <deque>
#include <functional>
#include <vector>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Unit;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

/// Requests that run at the same time, in the order in which they were sent.
class Crowded {
 public:
    explicit Crowded(asio::io_context& io) : io_(io) {}

    void send(Router& router, std::string body) {
        replies_.emplace_back();
        std::optional<Reply>& place = replies_.back();
        asio::co_spawn(io_.get_executor(), router.complete(std::move(body)),
                       [&place](std::exception_ptr, Reply reply) { place = std::move(reply); });
    }
    void send(Router& router, const std::string& model, int priority) {
        send(router, R"({"model":")" + model + R"(","messages":[],"priority":)" +
                         std::to_string(priority) + "}");
    }

    /// Runs until `done` or all have been answered.
    void run_until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (!done() && answered() < replies_.size()) {
            REQUIRE(std::chrono::steady_clock::now() < end);
            io_.run_one_for(10ms);
        }
    }
    void run() {
        run_until([] { return false; });
    }
    std::size_t answered() const {
        return static_cast<std::size_t>(std::count_if(replies_.begin(), replies_.end(),
                                                      [](const auto& r) { return r.has_value(); }));
    }
    const Reply& reply(std::size_t index) const { return replies_.at(index).value(); }

 private:
    asio::io_context& io_;
    std::deque<std::optional<Reply>> replies_;
};

std::string message_of(const Reply& reply) {
    return Json::parse(reply.body).at("error").at("message");
}
bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// The models of all requests in the order of their arrival: with '*' they tell them apart.
std::vector<std::string> models_at(const FakeUpstream& upstream) {
    std::vector<std::string> models;
    const Json ledger = upstream.ledger();
    for (const Json& arrival : ledger.at("arrivals")) models.push_back(arrival.at("model"));
    return models;
}

const std::string kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";  // reserves 51, uses 21
const std::string kWaits = "queue: {max_wait_seconds: 20}";
const std::string kShortWindow = kWaits + ", window_seconds: 0.2";

}  // namespace

TEST_CASE("requests beyond the limit wait for the window to move on, and none is refused") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 3"), "", kShortWindow});
    Crowded crowd(rig.io);
    for (int i = 0; i < 10; ++i) crowd.send(rig.router(), kQuestion);
    crowd.run();
    for (std::size_t i = 0; i < 10; ++i) CHECK(crowd.reply(i).status == 200);
    CHECK(upstream.arrivals() == 10);
    CHECK(rig.router().waiting() == 0);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("in the order of priority, then of arrival") {
    const FakeUpstream upstream;
    Rig rig({entry("x-*", "a", upstream.base(), "rpm: 1", "openai/y-*"), "",
             kWaits + ", window_seconds: 0.4"});
    Crowded crowd(rig.io);
    crowd.send(rig.router(), "x-first", 200);
    crowd.run();
    crowd.send(rig.router(), "x-late", 200);
    crowd.send(rig.router(), "x-early", 5);
    crowd.send(rig.router(), "x-early2", 5);
    crowd.send(rig.router(), R"({"model":"x-middle","messages":[]})");
    crowd.run();
    CHECK(models_at(upstream) ==
          std::vector<std::string>{"y-first", "y-early", "y-early2", "y-middle", "y-late"});
}

TEST_CASE("a newcomer does not overtake who waits, whether it may wait itself or not") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":200}])");
    Rig rig({entry("m", "a", upstream.base(), "tpm: 105"), "", kWaits});
    Crowded crowd(rig.io);
    crowd.send(rig.router(), kQuestion);
    crowd.send(rig.router(), R"({"model":"m","messages":[],"max_tokens":60})");
    crowd.run_until([&] { return rig.router().waiting() == 1; });
    const std::string small = R"({"model":"m","messages":[],"max_tokens":5,"max_wait_seconds":0)";
    crowd.send(rig.router(), small + "}");
    crowd.run_until([&] { return crowd.answered() == 1; });
    CHECK(crowd.reply(2).status == 429);  // although there is room for it
    CHECK(contains(message_of(crowd.reply(2)), "other requests wait"));
    crowd.send(rig.router(), small + R"(,"priority":3})");
    crowd.run_until([&] { return crowd.answered() == 2; });
    CHECK(crowd.reply(3).status == 200);  // it may
    crowd.run_until([&] { return rig.router().waiting() == 0; });
    crowd.run();
    CHECK(crowd.reply(0).status == 200);
    CHECK(crowd.reply(1).status == 200);
    CHECK(rig.tokens("a") == 3 * 21);
}

TEST_CASE("what a request of this process gives back lets the next one in at once") {
    const FakeUpstream upstream;
    upstream.play(R"([{"stall_ms":50}])");
    SECTION("a slot in flight") {
        Rig rig({entry("m", "a", upstream.base(), "max_parallel_requests: 1"), "", kWaits});
        Crowded crowd(rig.io);
        for (int i = 0; i < 5; ++i) crowd.send(rig.router(), kQuestion);
        crowd.run();
        for (std::size_t i = 0; i < 5; ++i) CHECK(crowd.reply(i).status == 200);
        CHECK(rig.in_flight("a") == 0);
    }
    SECTION("tokens that were reserved and not used, long before the window moves on") {
        Rig rig({entry("m", "a", upstream.base(), "tpm: 80"), "", kWaits + ", window_seconds: 3600"});
        Crowded crowd(rig.io);
        crowd.send(rig.router(), kQuestion);
        crowd.send(rig.router(), kQuestion);
        crowd.run();
        CHECK(crowd.reply(1).status == 200);
        CHECK(rig.tokens("a") == 2 * 21);
    }
}

TEST_CASE("given up at the deadline, with a 429 that says so") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "tpm: 60"), "", "queue: {max_wait_seconds: 0.1}"});
    CHECK(rig.ask(kQuestion).status == 200);
    const Reply reply = rig.ask(kQuestion);
    CHECK(reply.status == 429);
    CHECK(contains(message_of(reply), "Gave up after waiting 0.1"));
    CHECK(contains(message_of(reply), "deployment 'a' allows 60 tokens in 60 s"));
    CHECK(rig.router().waiting() == 0);
    CHECK(rig.tokens("a") == 21);
    CHECK(rig.in_flight("a") == 0);
}

TEST_CASE("a request says for itself how long it waits") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1"), "", "window_seconds: 0.5"});
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.ask(kQuestion).status == 429);  // by the configuration not at all
    CHECK(rig.ask(R"({"model":"m","messages":[],"max_wait_seconds":20})").status == 200);
    const auto facts = std::get<RequestFacts>(read_request(kQuestion));
    Request request;
    request.body = kQuestion;
    request.facts = &facts;
    request.max_wait = 20s;  // as from a header
    Call call(rig.router(), request);
    run(rig.io, [](Call& c) -> Task<int> {
        co_await c.start();
        co_return 0;
    }(call));
    CHECK(call.error() == nullptr);
    CHECK(call.effort().waited > 0s);
}

TEST_CASE("nobody waits in vain") {
    const FakeUpstream upstream;
    const auto begin = std::chrono::steady_clock::now();
    SECTION("for requests that come back only after the deadline") {
        Rig rig({entry("m", "a", upstream.base(), "rpm: 1"), "", "queue: {max_wait_seconds: 25}"});
        CHECK(rig.ask(kQuestion).status == 200);
        const Reply reply = rig.ask(kQuestion);
        CHECK(reply.status == 429);
        CHECK(contains(message_of(reply), "Try again in "));
    }
    SECTION("for what can never pass") {
        Rig rig({entry("m", "a", upstream.base(), "tpm: 40"), "", "queue: {max_wait_seconds: 25}"});
        const Reply reply = rig.ask(kQuestion);
        CHECK(reply.status == 400);
        CHECK(contains(message_of(reply), "can never pass"));
        CHECK(upstream.arrivals() == 0);
    }
    SECTION("where another group can answer") {
        Rig rig({entry("m", "a", upstream.base(), "rpm: 1") + entry("n", "b", upstream.base()),
                 "fallbacks: [{m: [n]}]", "queue: {max_wait_seconds: 25}"});
        CHECK(rig.ask(kQuestion).deployment_id == "a");
        CHECK(rig.ask(kQuestion).deployment_id == "b");
    }
    CHECK(std::chrono::steady_clock::now() - begin < 20s);
}

TEST_CASE("no more wait than the configuration allows") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1"), "",
             "window_seconds: 0.3, queue: {max_wait_seconds: 20, max_depth: 2}"});
    Crowded crowd(rig.io);
    for (int i = 0; i < 4; ++i) crowd.send(rig.router(), kQuestion);
    crowd.run();
    CHECK(crowd.reply(2).status == 200);
    CHECK(crowd.reply(3).status == 429);
    CHECK(contains(message_of(crowd.reply(3)), "2 requests wait for capacity already"));
}

TEST_CASE("a client that leaves while it waits takes nothing with it") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1, tpm: 1000"), "", "queue: {max_wait_seconds: 100}"});
    CHECK(rig.ask(kQuestion).status == 200);
    const auto facts = std::get<RequestFacts>(read_request(kQuestion));
    Request request;
    request.body = kQuestion;
    request.facts = &facts;
    {
        Call call(rig.router(), request);
        bool ended = false;
        asio::co_spawn(rig.io.get_executor(), call.start(), [&](std::exception_ptr) { ended = true; });
        while (rig.router().waiting() == 0) rig.io.run_one_for(10ms);
        call.abort();
        CHECK(rig.router().waiting() == 0);
        while (!ended) rig.io.run_one_for(10ms);
    }
    CHECK(rig.used("a") == 1);
    CHECK(rig.tokens("a") == 21);
    CHECK(rig.in_flight("a") == 0);
    CHECK(upstream.arrivals() == 1);
}

TEST_CASE("requests wait out a cooldown") {
    const FakeUpstream upstream;
    upstream.play(R"([{"status":429,"headers":{"retry-after-ms":"200"}}])");
    Rig rig({entry("m", "a", upstream.base()), "num_retries: 0", kWaits});
    CHECK(rig.ask(kQuestion).status == 429);
    REQUIRE(rig.cooling("a"));
    CHECK(rig.ask(kQuestion).status == 200);
}

TEST_CASE("a caller's own limit holds up only its own requests") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base()), "", kWaits});
    Scope narrow{"key", "n", Unit::requests, 300ms, 1, {}};
    narrow.look_up(rig.router().segment());
    Scope* const scopes[] = {&narrow};
    const auto facts = std::get<RequestFacts>(read_request(kQuestion));
    Request request;
    request.body = kQuestion;
    request.facts = &facts;
    request.caller.scopes = scopes;
    std::deque<Call> calls;
    int ended = 0;
    for (int i = 0; i < 3; ++i) {
        asio::co_spawn(rig.io.get_executor(), calls.emplace_back(rig.router(), request).start(),
                       [&](std::exception_ptr) { ++ended; });
    }
    while (rig.router().waiting() < 2) rig.io.run_one_for(10ms);
    CHECK(rig.ask(kQuestion).status == 200);  // somebody else
    CHECK(rig.router().waiting() > 0);
    while (ended < 3) rig.io.run_one_for(10ms);
    for (const Call& call : calls) CHECK(call.error() == nullptr);
}

TEST_CASE("processes share what returns, so that few in one do not wait for many in another") {
    const FakeUpstream upstream;
    const Setup setup{entry("m", "a", upstream.base(), "rpm: 20"), "", kWaits + ", window_seconds: 0.4"};
    Rig rig(setup);
    Router other(rig.io, config_of(setup, rig.scratch.name), {"other", 8});
    other.start();
    Crowded many(rig.io);
    Crowded few(rig.io);
    for (int i = 0; i < 110; ++i) many.send(rig.router(), kQuestion);
    for (int i = 0; i < 10; ++i) few.send(other, kQuestion);
    // It takes six windows in all. By chance some of the few are among the last, but not most of them.
    many.run_until([&] { return many.answered() + few.answered() >= 115; });
    CHECK(few.answered() >= 3);
    many.run();
    few.run();
    CHECK(upstream.arrivals() == 120);
}

TEST_CASE("a process leaves what returns to more urgent requests of another") {
    const FakeUpstream upstream;
    const Setup setup{entry("m", "a", upstream.base(), "rpm: 10"), "", kWaits + ", window_seconds: 0.4"};
    Rig rig(setup);
    Router other(rig.io, config_of(setup, rig.scratch.name), {"other", 8});
    other.start();
    Crowded patient(rig.io);
    Crowded urgent(rig.io);
    for (int i = 0; i < 20; ++i) patient.send(rig.router(), "m", 200);  // ten of them at once
    patient.run_until([&] { return patient.answered() == 10; });
    for (int i = 0; i < 10; ++i) urgent.send(other, "m", 0);
    urgent.run_until([&] { return other.waiting() == 10; });
    patient.run_until([&] { return patient.answered() + urgent.answered() >= 20; });
    CHECK(urgent.answered() >= 9);
    patient.run();
    urgent.run();
    CHECK(upstream.arrivals() == 30);
}
