// How long an attempt may take: in all, to its first piece, and from piece to piece.
#include <catch2/catch.hpp>
#include <string>

#include "asked.hpp"
#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::FakeUpstream;

namespace {

constexpr const char* kOneTry = "num_retries: 0";
constexpr const char* kQuestion = R"({"model":"m","messages":[]})";
constexpr const char* kStream = R"({"model":"m","messages":[],"stream":true})";

struct Timed {
    explicit Timed(const std::string& params, const std::string& settings = "")
        : rig({entry("m", "a", upstream.base(), params) + entry("m", "b", upstream.base(), params),
               settings.empty() ? kOneTry : kOneTry + (", " + settings)}) {}

    /// What becomes of a stream to its end.
    TransportError stream(const std::string& step, const std::string& question = kStream) {
        upstream.play("[" + step + "]");
        Asked asked(rig, question);
        const TransportError failure = run(rig.io, asked.read_all());
        whole = contains(asked.text, "[DONE]");
        return failure;
    }
    std::uint64_t failures() {
        std::uint64_t sum = 0;
        for (const char* id : {"a", "b"}) {
            sum += weir::shm::read_health(rig.deployment(id).health(), weir::shm::now()).failures;
        }
        return sum;
    }

    FakeUpstream upstream;
    Rig rig;
    bool whole = false;
};

/// A stream of one second and a half, a piece every 100 ms.
const std::string kLongStream = R"({"tokens":[9,16],"event_delay_ms":100})";

}  // namespace

TEST_CASE("an answer must be there as a whole in time, however steadily it comes") {
    Timed timed("timeout: 1");
    const std::string content(3000, 'x');
    timed.upstream.play(R"([{"chunk_bytes":300,"chunk_delay_ms":200,"content":")" + content + R"("}])");
    const Reply reply = timed.rig.ask(kQuestion);
    CHECK(reply.status == 408);
    CHECK(contains(reply.body, "timeout_error"));
    CHECK(timed.failures() == 1);
    CHECK((timed.rig.cooling("a") || timed.rig.cooling("b")));
    CHECK(timed.rig.in_flight("a") + timed.rig.in_flight("b") == 0);
}

TEST_CASE("a stream ends when its time is up, which is no failure of the upstream that sent it") {
    SECTION("by the deployment's timeout") {
        Timed timed("timeout: 0.8");
        CHECK(timed.stream(kLongStream) == TransportError::overran);
        CHECK(timed.failures() == 0);
        CHECK_FALSE((timed.rig.cooling("a") || timed.rig.cooling("b")));
    }
    SECTION("by the router's") {
        CHECK(Timed("", "timeout: 0.8").stream(kLongStream) == TransportError::overran);
    }
    SECTION("by the request's, whatever the configuration allows") {
        Timed timed("timeout: 20, stream_timeout: 30");
        const std::string question = R"({"model":"m","messages":[],"stream":true,"timeout":0.8})";
        CHECK(timed.stream(kLongStream, question) == TransportError::overran);
    }
}

TEST_CASE("a request's own time between pieces ends its stream, and is nobody's failure") {
    Timed timed("timeout: 20, stream_timeout: 30");
    const std::string question = R"({"model":"m","messages":[],"stream":true,"stream_timeout":0.3})";
    SECTION("after the first piece") {
        CHECK(timed.stream(R"({"event_delay_ms":60000})", question) == TransportError::stalled);
    }
    SECTION("before it") {
        timed.upstream.play(R"([{"stall_ms":60000}])");
        CHECK(timed.rig.ask(question).status == 408);
    }
    SECTION("not of an answer that is no stream") {
        timed.upstream.play(R"([{"stall_ms":600}])");
        CHECK(timed.rig.ask(R"({"model":"m","messages":[],"stream_timeout":0.3})").status == 200);
    }
    CHECK(timed.failures() == 0);
    CHECK_FALSE((timed.rig.cooling("a") || timed.rig.cooling("b")));
}

TEST_CASE("a stream goes on while its pieces come in time") {
    SECTION("with nothing said of the whole") {
        Timed timed("stream_timeout: 1");
        CHECK(timed.stream(kLongStream) == TransportError::none);
        CHECK(timed.whole);
    }
    SECTION("with less time for the whole of an answer that is no stream") {
        Timed timed("timeout: 0.8", "stream_timeout: 20");
        CHECK(timed.stream(kLongStream) == TransportError::none);
        CHECK(timed.whole);
    }
}

TEST_CASE("a client that takes its time to read is no failure of the upstream") {
    Timed timed("timeout: 1");
    const std::string content(3000, 'x');
    timed.upstream.play(R"([{"chunk_bytes":300,"chunk_delay_ms":150,"content":")" + content + R"("}])");
    Asked asked(timed.rig, kQuestion);
    REQUIRE(run(timed.rig.io, asked.begin()));
    timed.rig.io.run_for(std::chrono::milliseconds(1300));
    CHECK(run(timed.rig.io, asked.read_on()) == TransportError::none);
    CHECK(contains(asked.text, content));
    CHECK(timed.failures() == 0);
}

TEST_CASE("a stream that stops is given up after stream_timeout, and has failed") {
    Timed timed("timeout: 20, stream_timeout: 0.3");
    SECTION("after its first piece") {
        CHECK(timed.stream(R"({"event_delay_ms":60000})") == TransportError::stalled);
    }
    SECTION("before it") {
        timed.upstream.play(R"([{"stall_ms":60000}])");
        CHECK(timed.rig.ask(kStream).status == 408);
    }
    CHECK(timed.failures() == 1);
    CHECK((timed.rig.cooling("a") || timed.rig.cooling("b")));
}
