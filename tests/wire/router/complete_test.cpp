// What a program that embeds the Router asks and is told, without Calls of its own.
#include <catch2/catch.hpp>

#include <deque>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::shm::Unit;
using weir::test::FakeUpstream;
using namespace std::chrono_literals;

namespace {

constexpr const char* kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";
/// What the fake server's ordinary answer says it used.
constexpr std::uint64_t kUsed = 21;

/// Limits of somebody who asks, of his own.
struct Tenant {
    explicit Tenant(Router& router, std::size_t count = 1, weir::shm::Units requests = 2) {
        for (std::size_t i = 0; i < count; ++i) {
            Scope& scope = scopes.emplace_back(
                Scope{"tenant", "t" + std::to_string(i), Unit::requests, 60s, requests, {}});
            scope.look_up(router.segment());
            pointers.push_back(&scope);
        }
    }
    CompleteOptions options() const {
        CompleteOptions options;
        options.caller = {pointers, {}};
        return options;
    }
    std::deque<Scope> scopes;
    std::vector<Scope*> pointers;
};

}  // namespace

TEST_CASE("a reply tells who answered, with what head, what it used and what it took") {
    const FakeUpstream upstream;
    upstream.play(R"([{"status":500},{"headers":{"x-note":"hello"}}])");
    Rig rig({entry("m", "a", upstream.base()) + entry("m", "b", upstream.base())});
    CompleteOptions options;
    options.request_id = "mine-1";
    const Reply reply = run(rig.io, rig.router().complete(kQuestion, options));
    CHECK(reply.status == 200);
    CHECK(reply.content_type == "application/json");
    CHECK(reply.fields.get("X-Note") == "hello");
    CHECK(reply.group == "m");
    REQUIRE(reply.usage.has_value());
    CHECK(reply.usage->total_tokens == kUsed);
    CHECK(reply.effort.retries == 1);
    CHECK_FALSE(reply.retry_after.has_value());
    CHECK(contains(upstream.last().dump(), "mine-1"));
    const Reply unknown = rig.ask(R"({"model":"x","messages":[]})");
    CHECK(unknown.status == 400);
    CHECK(unknown.group.empty());
    CHECK(unknown.fields.size() == 0);
    CHECK(rig.ask("{").status == 400);
}

TEST_CASE("a refusal says when to come back, be it the router's or the upstream's") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 1") + entry("n", "b", upstream.base()),
             "num_retries: 0, disable_cooldowns: true"});
    CHECK(rig.ask(kQuestion).status == 200);
    const Reply own = rig.ask(kQuestion);
    CHECK(own.status == 429);
    CHECK(own.retry_after.value() > 50s);
    CHECK(own.deployment_id.empty());
    upstream.play(R"([{"status":429,"headers":{"retry-after":"7"}}])");
    const Reply theirs = rig.ask(R"({"model":"n","messages":[]})");
    CHECK(theirs.status == 429);
    CHECK(theirs.retry_after == weir::shm::Nanos(7s));
    CHECK(theirs.deployment_id == "b");
}

TEST_CASE("a caller's own limits are kept with the deployment's, and a request may wait for them") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 100"), "", "window_seconds: 1"});
    Tenant tenant(rig.router());
    tenant.scopes[0].window = 1s;
    tenant.scopes[0].look_up(rig.router().segment());
    CompleteOptions options = tenant.options();
    for (int i = 0; i < 2; ++i) CHECK(run(rig.io, rig.router().complete(kQuestion, options)).status == 200);
    const Reply refused = run(rig.io, rig.router().complete(kQuestion, options));
    CHECK(refused.status == 429);
    CHECK(contains(refused.body, "tenant 't0' allows 2"));
    CHECK(rig.ask(kQuestion).status == 200);  // somebody else
    options.max_wait = 10s;
    const Reply waited = run(rig.io, rig.router().complete(kQuestion, options));
    CHECK(waited.status == 200);
    CHECK(waited.effort.waited > 0s);
}

TEST_CASE("more limits than one decision can span are refused, and none is charged") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base(), "rpm: 100, tpm: 100000")});
    const Tenant most(rig.router(), 14);
    CHECK(run(rig.io, rig.router().complete(kQuestion, most.options())).status == 200);
    const Tenant many(rig.router(), 15);
    CompleteOptions options = many.options();
    options.max_wait = 10s;
    const Reply refused = run(rig.io, rig.router().complete(kQuestion, options));
    CHECK(refused.status == 500);
    CHECK(contains(refused.body, "more limits than can be asked at once"));
    CHECK(upstream.arrivals() == 1);
    for (const Scope& scope : many.scopes) {
        CHECK(rig.router().participant().usage(scope.limiter, weir::shm::now()).used <= 1);
    }
}

TEST_CASE("a form is completed as JSON is") {
    const FakeUpstream upstream;
    Rig rig({entry("m", "a", upstream.base())});
    CompleteOptions options;
    options.endpoint = "/audio/transcriptions";
    options.content_type = "multipart/form-data; boundary=xx";
    const std::string form =
        "--xx\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--xx--\r\n";
    run(rig.io, rig.router().complete(form, options));
    CHECK(contains(upstream.last().dump(), "gpt"));
}

TEST_CASE("a prompt without text teaches how long completions are, too") {
    const FakeUpstream upstream;
    upstream.play(R"([{},{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base(), "tpm: 100000, timeout: 0.2"), "num_retries: 0"});
    const std::string question = R"({"model":"m","messages":[]})";
    CHECK(rig.ask(question).status == 200);
    CHECK(rig.tokens("a") == kUsed);
    CHECK(rig.ask(question).status == 408);
    CHECK(rig.tokens("a") == kUsed + 1 + 18);  // 12 tokens of completion and a half of it
}

TEST_CASE("several answers to one question teach the length of one") {
    const FakeUpstream upstream;
    upstream.play(R"([{},{"stall_ms":60000}])");
    Rig rig({entry("m", "a", upstream.base(), "tpm: 100000, timeout: 0.2"), "num_retries: 0"});
    CHECK(rig.ask(R"({"model":"m","messages":[],"n":4})").status == 200);
    CHECK(rig.ask(R"({"model":"m","messages":[]})").status == 408);
    CHECK(rig.tokens("a") == kUsed + 1 + 5);  // 12 tokens for 4, and a half of each
}
