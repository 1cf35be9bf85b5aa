// Shares of a limit by priority, over the real segment and in two routers.
#include <catch2/catch.hpp>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::FakeUpstream;
using Json = nlohmann::json;

namespace {

RouterConfig shared(const Setup& setup, const std::string& segment) {
    RouterConfig config = config_of(setup, segment);
    config.priorities = {{{"prod", 0.8}, {"dev", 0.2}}, 0.1, 0.5};
    return config;
}

/// Two routers on one segment, as two processes have them.
struct Pair {
    explicit Pair(const Setup& setup)
        : config(shared(setup, scratch.name)), one(io, config, {"one", 3}), two(io, config, {"two", 4}) {
        one.start();
        two.start();
    }

    /// Asks with the priority of a key; the error, or null.
    static Task<int> begin(Call& call) {
        co_await call.start();
        while (call.error() == nullptr && !call.answer().done()) co_await call.next();
        co_return 0;
    }
    std::optional<ApiError> ask(const std::string& priority, const std::string& body = kQuestion) {
        const auto facts = std::get<RequestFacts>(read_request(body));
        Request request;
        request.body = body;
        request.facts = &facts;
        request.caller.priority = priority;
        turn = !turn;
        Call call(turn ? one : two, request);
        run(io, begin(call));
        return call.error() != nullptr ? std::optional(*call.error()) : std::nullopt;
    }
    /// How many of `count` are admitted.
    int served(const std::string& priority, int count) {
        int served = 0;
        for (int i = 0; i < count; ++i) served += ask(priority) ? 0 : 1;
        return served;
    }

    static constexpr const char* kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";
    asio::io_context io{1};
    weir::shm::test::ScratchName scratch;
    RouterConfig config;
    Router one;
    Router two;
    bool turn = false;
};

}  // namespace

TEST_CASE("one priority alone gets the larger of its share and the threshold, others still theirs") {
    const FakeUpstream upstream;
    Pair pair({entry("m", "a", upstream.base(), "rpm: 20"), "", ""});
    CHECK(pair.served("dev", 20) == 10);  // up to the threshold of a half
    CHECK(pair.served("prod", 20) == 10);  // of its 16, for the limit itself is kept
    CHECK(pair.served("dev", 5) == 0);
}

TEST_CASE("a share is there whatever others have used") {
    const FakeUpstream upstream;
    Pair pair({entry("m", "a", upstream.base(), "rpm: 20"), "", ""});
    CHECK(pair.served("prod", 20) == 16);
    CHECK(pair.served("dev", 20) == 4);
    CHECK(pair.served("", 5) == 0);  // keys without a priority have a tenth, but the limit is full
}

TEST_CASE("keys without a priority, and with an unknown one, share the default") {
    const FakeUpstream upstream;
    Pair pair({entry("m", "a", upstream.base(), "rpm: 20"), "", ""});
    CHECK(pair.served("prod", 15) == 15);
    CHECK(pair.served("unknown", 20) + pair.served("", 20) == 2);
}

TEST_CASE("a refusal by share says so, and when it is over") {
    const FakeUpstream upstream;
    Pair pair({entry("m", "a", upstream.base(), "rpm: 20"), "", "window_seconds: 3600"});
    CHECK(pair.served("dev", 10) == 10);
    const auto error = pair.ask("dev");
    REQUIRE(error);
    CHECK(error->status == 429);
    CHECK(error->message.find("this priority has had its share") != std::string::npos);
    REQUIRE(error->retry_after);
    CHECK(*error->retry_after > std::chrono::seconds(3000));
    CHECK(*error->retry_after < std::chrono::seconds(3700));
}

TEST_CASE("who waits for its share passes when it is back, and does not hold up others") {
    const FakeUpstream upstream;
    Pair pair({entry("m", "a", upstream.base(), "rpm: 20"), "",
               "window_seconds: 0.4, queue: {max_wait_seconds: 20}"});
    CHECK(pair.served("dev", 12) == 12);
    CHECK(pair.served("prod", 3) == 3);
}

TEST_CASE("tokens that were not used go back to the share, too") {
    const FakeUpstream upstream;  // each answer uses 21 tokens; 51 are reserved
    Pair pair({entry("m", "a", upstream.base(), "tpm: 1000"), "", ""});
    // Up to the threshold of 500: after 22 answers 462 are used, and 51 more are too many.
    CHECK(pair.served("dev", 40) == 22);
    CHECK(pair.served("prod", 40) == 24);  // 504 of its 800, then the limit has no room for 51
}

TEST_CASE("what exceeds the share and the threshold can never pass, though the limit allows it") {
    const FakeUpstream upstream;
    Pair pair({entry("m", "a", upstream.base(), "tpm: 1000"), "", ""});
    const std::string large = R"({"model":"m","messages":[],"max_tokens":600})";
    const auto error = pair.ask("dev", large);
    REQUIRE(error);
    CHECK(error->status == 400);
    CHECK(error->message.find("can never pass") != std::string::npos);
    CHECK_FALSE(pair.ask("prod", large));
}
