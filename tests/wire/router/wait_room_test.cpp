// Requests that wait for capacity instead of being refused.
#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <vector>

#include "crowd.hpp"

namespace shm = weir::shm;
using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Unit;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;

TEST_CASE("requests beyond the limit wait for the window to move on, and none is refused") {
    Counter m("rpm: 3", kShortWindow);
    m.send(10);
    m.crowd.run();
    CHECK(m.crowd.all_well());
    CHECK(m.upstream.arrivals() == 10);
    CHECK(m.rig.router().waiting() == 0);
    CHECK(m.rig.in_flight("a") == 0);
}

TEST_CASE("in the order of priority, then of arrival") {
    const FakeUpstream upstream;
    Rig rig({entry("x-*", "a", upstream.base(), "rpm: 1", "openai/y-*"), "",
             kWaits + ", window_seconds: 0.4"});
    Crowd crowd(rig.io);
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
    Counter m("tpm: 105");
    m.upstream.play(R"([{"stall_ms":200}])");
    m.send();
    m.crowd.send(m.rig.router(), R"({"model":"m","messages":[],"max_tokens":60})");
    m.wait_for(1);
    const std::string small = R"({"model":"m","messages":[],"max_tokens":5,"max_wait_seconds":0)";
    m.crowd.send(m.rig.router(), small + "}");
    m.crowd.run_until([&] { return m.crowd.answered() == 1; });
    CHECK(m.crowd.reply(2).status == 429);  // although there is room for it
    CHECK(contains(message_of(m.crowd.reply(2)), "other requests wait"));
    m.crowd.send(m.rig.router(), small + R"(,"priority":3})");
    m.crowd.run_until([&] { return m.crowd.answered() == 2; });
    CHECK(m.crowd.reply(3).status == 200);  // it may
    m.wait_for(0);
    m.crowd.run();
    CHECK(m.crowd.reply(0).status == 200);
    CHECK(m.crowd.reply(1).status == 200);
    CHECK(m.rig.tokens("a") == 3 * 21);
}

TEST_CASE("what a request of this process gives back lets the next one in at once") {
    const std::string slowly = R"([{"stall_ms":50}])";
    SECTION("a slot in flight") {
        Counter m("max_parallel_requests: 1");
        m.upstream.play(slowly);
        m.send(5);
        m.crowd.run();
        CHECK(m.crowd.all_well());
        CHECK(m.rig.in_flight("a") == 0);
    }
    SECTION("tokens that were reserved and not used, long before the window moves on") {
        Counter m("tpm: 80", kWaits + ", window_seconds: 3600");
        m.upstream.play(slowly);
        m.send(2);
        m.crowd.run();
        CHECK(m.crowd.all_well());
        CHECK(m.rig.tokens("a") == 2 * 21);
    }
}

TEST_CASE("given up at the deadline, with a 429 that says so") {
    Counter m("tpm: 60", "queue: {max_wait_seconds: 0.1}");
    CHECK(m.rig.ask(kQuestion).status == 200);
    const Reply reply = m.rig.ask(kQuestion);
    CHECK(reply.status == 429);
    CHECK(contains(message_of(reply), "Gave up after waiting 0.1"));
    CHECK(contains(message_of(reply), "deployment 'a' allows 60 tokens in 60 s"));
    CHECK(m.rig.router().waiting() == 0);
    CHECK(m.rig.tokens("a") == 21);
    CHECK(m.rig.in_flight("a") == 0);
}

TEST_CASE("a request says for itself how long it waits") {
    Counter m("rpm: 1", "window_seconds: 0.5");
    Rig& rig = m.rig;
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
    const std::string patience = "queue: {max_wait_seconds: 25}";
    const auto begin = std::chrono::steady_clock::now();
    SECTION("for requests that come back only after the deadline") {
        Counter m("rpm: 1", patience);
        CHECK(m.rig.ask(kQuestion).status == 200);
        const Reply reply = m.rig.ask(kQuestion);
        CHECK(reply.status == 429);
        CHECK(contains(message_of(reply), "Try again in "));
    }
    SECTION("for what can never pass") {
        Counter m("tpm: 40", patience);
        const Reply reply = m.rig.ask(kQuestion);
        CHECK(reply.status == 400);
        CHECK(contains(message_of(reply), "can never pass"));
        CHECK(m.upstream.arrivals() == 0);
    }
    SECTION("where another group can answer") {
        const FakeUpstream other;
        Counter m("rpm: 1", patience, "fallbacks: [{m: [n]}]", entry("n", "b", other.base()));
        CHECK(m.rig.ask(kQuestion).deployment_id == "a");
        CHECK(m.rig.ask(kQuestion).deployment_id == "b");
    }
    CHECK(std::chrono::steady_clock::now() - begin < 20s);
}

TEST_CASE("a fallback that cannot be taken keeps nobody from waiting") {
    const FakeUpstream other;
    const char* const settings =
        GENERATE("default_fallbacks: [m]", "fallbacks: [{m: [n]}], max_fallbacks: 0");
    Counter m("rpm: 1", "window_seconds: 0.3, queue: {max_wait_seconds: 20}", settings,
              entry("n", "b", other.base()));
    for (int i = 0; i < 2; ++i) CHECK(m.rig.ask(kQuestion).deployment_id == "a");
}

TEST_CASE("no more wait than the configuration allows") {
    Counter m("rpm: 1", "window_seconds: 0.3, queue: {max_wait_seconds: 20, max_depth: 2}");
    m.send(4);
    m.crowd.run();
    CHECK(m.crowd.reply(2).status == 200);
    CHECK(m.crowd.reply(3).status == 429);
    CHECK(contains(message_of(m.crowd.reply(3)), "2 requests wait for capacity already"));
}

TEST_CASE("a client that leaves while it waits takes nothing with it") {
    Counter m("rpm: 1, tpm: 1000", "queue: {max_wait_seconds: 100}");
    Rig& rig = m.rig;
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
    CHECK(m.upstream.arrivals() == 1);
}

TEST_CASE("requests wait out a cooldown") {
    Counter m("", kWaits, "num_retries: 0");
    m.upstream.play(R"([{"status":429,"headers":{"retry-after-ms":"200"}}])");
    CHECK(m.rig.ask(kQuestion).status == 429);
    REQUIRE(m.rig.cooling("a"));
    CHECK(m.rig.ask(kQuestion).status == 200);
}

TEST_CASE("a caller's own limit holds up only its own requests") {
    Counter m("");
    Rig& rig = m.rig;
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

TEST_CASE("a newcomer does not overtake who waits in another process, whether it may wait itself or not") {
    Counter m("max_parallel_requests: 1");
    Router other(m.rig.io, m.rig.router().config(), {"other", 8});
    other.start();
    const std::vector<shm::Gauge> slot{m.rig.deployment("a").in_flight()};
    auto held = m.rig.router().participant().admit({{}, slot}, shm::now());
    m.send();
    m.wait_for(1);
    const auto end = std::chrono::steady_clock::now() + 2 * shm::kArrivalSlack;
    while (std::chrono::steady_clock::now() < end) m.rig.io.run_one_for(1ms);
    held.ticket.close();  // nobody is told, so the one that waits has not seen it yet
    const std::string at_once = R"({"model":"m","messages":[],"max_wait_seconds":0})";
    const Reply refused = run(m.rig.io, other.complete(at_once));
    const bool overtook = refused.status == 200 && m.crowd.answered() == 0;
    CHECK_FALSE(overtook);
    if (refused.status != 200) CHECK(contains(message_of(refused), "other requests wait"));
    m.crowd.run();
    CHECK(m.crowd.all_well());
    other.stop();
}
