// What a strategy goes by, from one router to another over the segment: the first asks one deployment by
// its id, and what it has seen there decides whom the second asks for the group.
#include <catch2/catch.hpp>

#include <list>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::FakeUpstream;
using Json = nlohmann::json;

namespace {

/// By chance, all of so many questions would hardly ever go to one of two deployments.
constexpr int kQuestions = 12;
constexpr const char* kStream = R"(,"stream":true)";

/// Two routers on one segment, as two processes have them, and a group "m" of the deployments "a" and "b".
struct Two {
    explicit Two(const std::string& strategy, const std::string& of_a = "", const std::string& of_b = "",
                 const std::string& more = "")
        : config(config_of({entry("m", "a", a.base(), of_a) + entry("m", "b", b.base(), of_b),
                            "routing_strategy: " + strategy, more},
                           scratch.name)),
          one(io, config, {"one", 3}),
          two(io, config, {"two", 4}) {
        one.start();
        two.start();
    }

    /// Who answers `router`'s question for `model`, a group or a deployment's id.
    std::string ask(Router& router, const std::string& model, const std::string& more = "") {
        const std::string body = R"({"model":")" + model + R"(","messages":[],"max_tokens":20)" + more + "}";
        const Reply reply = run(io, router.complete(body));
        CHECK(reply.status == 200);
        return reply.deployment_id;
    }

    /// Whether all of kQuestions of the second router go to `id`.
    bool prefers(const std::string& id, const std::string& more = "") {
        int there = 0;
        for (int i = 0; i < kQuestions; ++i) there += ask(two, "m", more) == id ? 1 : 0;
        return there == kQuestions;
    }

    FakeUpstream a;
    FakeUpstream b;
    asio::io_context io{1};
    weir::shm::test::ScratchName scratch;
    RouterConfig config;
    Router one;
    Router two;
};

/// A question whose answer has begun and does not end: in flight for as long as it is there.
class Held {
 public:
    Held(Two& in, Router& router, const FakeUpstream& upstream, const std::string& id)
        : body_(R"({"model":")" + id + R"(","messages":[],"stream":true})"),
          facts_(std::get<RequestFacts>(read_request(body_))),
          call_(router, request()) {
        upstream.play(R"([{"event_delay_ms":60000}])");
        run(in.io, begin());
        REQUIRE(call_.error() == nullptr);
        REQUIRE(call_.deployment() != nullptr);
    }

 private:
    Request request() const {
        Request request;
        request.body = body_;
        request.facts = &facts_;
        return request;
    }
    Task<int> begin() {
        co_await call_.start();
        co_return 0;
    }

    std::string body_;
    RequestFacts facts_;
    Call call_;
};

}  // namespace

TEST_CASE("least-busy goes by what any router has in flight") {
    Two routers("least-busy");
    std::list<Held> held;
    held.emplace_back(routers, routers.one, routers.a, "a");
    CHECK(routers.prefers("b"));
    held.emplace_back(routers, routers.one, routers.b, "b");
    held.emplace_back(routers, routers.two, routers.b, "b");
    CHECK(routers.prefers("a"));
    held.clear();
    held.emplace_back(routers, routers.one, routers.a, "a");
    CHECK(routers.prefers("b"));
}

TEST_CASE("usage-based routing goes by the tokens that any router has used") {
    const std::string strategy = GENERATE("usage-based-routing", "usage-based-routing-v2");
    const std::string limits =
        GENERATE("tpm: 100000", "", "rpm: 1000, itpm: 100000", "tpm: 100000, weir_cost: split");
    Two routers(strategy, limits, limits);
    routers.a.play(R"([{"tokens":[900,100]}])");
    CHECK(routers.ask(routers.one, "a") == "a");
    CHECK(routers.prefers("b"));  // 21 tokens each
    routers.b.play(R"([{"tokens":[4000,1000]}])");
    CHECK(routers.ask(routers.one, "b") == "b");
    CHECK(routers.prefers("a"));
}

TEST_CASE("usage-based routing counts what is expected at once, and its count refuses nothing") {
    Two routers("usage-based-routing-v2");
    routers.one.each_deployment([](const Deployment& deployment) { CHECK(deployment.scopes().empty()); });
    {
        const Held held(routers, routers.one, routers.a, "a");  // 1,024 tokens or more
        CHECK(routers.prefers("b"));
    }
    routers.b.play(R"([{"tokens":[900000000000,0]}])");
    CHECK(routers.ask(routers.one, "b") == "b");
    CHECK(routers.ask(routers.one, "b") == "b");
    CHECK(routers.prefers("a"));
}

TEST_CASE("latency-based routing goes by how fast any router was answered") {
    Two routers("latency-based-routing");
    SECTION("whole answers") {
        routers.a.play(R"([{"stall_ms":1000}])");
        CHECK(routers.ask(routers.one, "a") == "a");
        CHECK(routers.ask(routers.one, "b") == "b");
        CHECK(routers.prefers("b"));
    }
    SECTION("streams by their first token, though the whole takes longer") {
        routers.a.play(R"([{"tokens":[9,5],"event_delay_ms":300}])");
        routers.b.play(R"([{"stall_ms":600}])");
        CHECK(routers.ask(routers.one, "a", kStream) == "a");
        CHECK(routers.ask(routers.one, "b", kStream) == "b");
        CHECK(routers.prefers("b"));
        CHECK(routers.prefers("a", kStream));
    }
}

TEST_CASE("latency-based routing leaves a deployment that timed out alone, until that is forgotten") {
    const std::string settings = "latency-based-routing, disable_cooldowns: true, num_retries: 0";
    const std::string question = R"({"model":"a","messages":[])";
    const auto times_out = [&](Two& routers, const std::string& more) {
        routers.a.play(R"([{"stall_ms":60000}])");
        const std::string body = question + more + "}";
        return run(routers.io, routers.one.complete(body)).status == 408;
    };
    SECTION("whole answers and streams") {
        const std::string more = GENERATE(as<std::string>{}, "", kStream);
        Two routers(settings, "timeout: 1");
        routers.b.play(R"([{"stall_ms":1500}])");
        CHECK(routers.ask(routers.one, "a", more) == "a");
        CHECK(routers.ask(routers.one, "b", more) == "b");
        CHECK(routers.prefers("a", more));
        CHECK(times_out(routers, more));
        CHECK(routers.prefers("b", more));
    }
    SECTION("a client's own impatience is none of it") {
        Two routers(settings);
        routers.b.play(R"([{"stall_ms":1500}])");
        CHECK(routers.ask(routers.one, "a") == "a");
        CHECK(routers.ask(routers.one, "b") == "b");
        CHECK(times_out(routers, R"(,"timeout":0.1)"));
        CHECK(routers.prefers("a"));
    }
    SECTION("for as long as latencies are remembered") {
        Two routers(settings + ", routing_strategy_args: {ttl: 2}", "timeout: 1");
        CHECK(times_out(routers, ""));
        const auto latency = [&] {
            weir::shm::Nanos found{};
            routers.two.each_deployment([&](const Deployment& deployment) {
                if (deployment.config().id != "a") return;
                const auto memory = routers.config.latency_memory;
                found = weir::shm::read_health(deployment.health(), weir::shm::now(), memory).latency_avg;
            });
            return found;
        };
        CHECK(latency() == weir::shm::kTimeoutPenalty);
        while (latency() != weir::shm::Nanos{}) routers.io.run_for(std::chrono::milliseconds(100));
        CHECK(routers.ask(routers.one, "b") == "b");
        CHECK(routers.ask(routers.two, "m") == "a");  // nothing is known of it, so it is tried
    }
}

TEST_CASE("cost-based routing goes by what the configuration says a token costs") {
    const std::string cheap = "input_cost_per_token: 0.000001, output_cost_per_token: 0.000002";
    const std::string dear = "input_cost_per_token: 0.000001, output_cost_per_token: 0.000003";
    SECTION("the first is cheaper") { CHECK(Two("cost-based-routing", cheap, dear).prefers("a")); }
    SECTION("the second is") { CHECK(Two("cost-based-routing", dear, cheap).prefers("b")); }
    SECTION("no cost is a high one") { CHECK(Two("cost-based-routing", "", dear).prefers("b")); }
}
