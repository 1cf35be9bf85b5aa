// Exchanges with upstreams that answer too early, too much, too late, or with something else.
#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <string>
#include <vector>

#include "rig.hpp"
#include "tests/support/raw_upstream.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::pause_for;
using weir::test::raw_answer;
using weir::test::RawUpstream;
using Peer = RawUpstream::Peer;
using namespace std::chrono_literals;
namespace shm = weir::shm;

namespace {

const std::string kAnswer = raw_answer("200 OK", R"({"mine":1})");
const std::string kStray = raw_answer("200 OK", R"({"stray":1})");
const std::string kTimeout = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
constexpr const char* kOneTry = "num_retries: 0";
constexpr const char* kLimits = "rpm: 100000, tpm: 1000000000, timeout: 20";

/// A router with one deployment, `a`, at an upstream that is played.
struct Played {
    explicit Played(std::function<void(Peer&)> play, const std::string& weir = "")
        : upstream(std::move(play)), rig({entry("m", "a", upstream.base(), kLimits), kOneTry, weir}) {}

    Reply ask(const std::string& body = R"({"model":"m","messages":[]})") { return rig.ask(body); }
    std::uint64_t failures() {
        return shm::read_health(rig.deployment("a").health(), shm::now()).failures;
    }
    RawUpstream upstream;
    Rig rig;
};

/// Answers each request on a connection with `text`.
std::function<void(Peer&)> always(std::string text) {
    return [text = std::move(text)](Peer& peer) {
        while (!peer.request().empty()) peer.send(text);
    };
}

std::string large_question(std::size_t bytes) {
    return R"({"model":"m","messages":[],"x":")" + std::string(bytes, 'x') + R"("})";
}

}  // namespace

TEST_CASE("an interim answer and the final one are read, wherever the bytes are cut") {
    const std::string text = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" +
                             raw_answer("200 OK", "{}");
    const std::string tells = R"("cut":)";
    Played played([&](Peer& peer) {
        for (std::string request; !(request = peer.request()).empty();) {
            const std::size_t cut = std::stoul(request.substr(request.find(tells) + tells.size()));
            peer.send(text.substr(0, cut));
            if (cut > 0) pause_for(2ms);
            peer.send(text.substr(cut));
        }
    });
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        INFO(cut);
        const Reply reply = played.ask(R"({"model":"m","messages":[],)" + tells + std::to_string(cut) + "}");
        CHECK(reply.status == 200);
        CHECK(reply.body == "{}");
    }
    CHECK(played.upstream.connections() == 1);
    CHECK(played.failures() == 0);
}

TEST_CASE("interim answers without end, an unasked 101 and nonsense are a 502 at once") {
    std::string text;
    SECTION("102 without end") {
        for (int i = 0; i < 1000; ++i) text += "HTTP/1.1 102 Processing\r\n\r\n";
    }
    SECTION("large hints") {
        for (int i = 0; i < 60; ++i) text += "HTTP/1.1 103 x\r\nlink: " + std::string(1000, 'a') + "\r\n\r\n";
    }
    SECTION("101") { text = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"; }
    SECTION("status 099") { text = raw_answer("099 x", "{}"); }
    SECTION("status 000") { text = raw_answer("000 x", "{}"); }
    SECTION("no HTTP") { text = "SSH-2.0-OpenSSH_9.2\r\n"; }
    SECTION("another coding") { text = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"; }
    SECTION("two lengths") { text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}"; }
    SECTION("a length beside chunks") {
        text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    }
    Played played([&](Peer& peer) {
        if (peer.request().empty()) return;
        peer.send(text);
        peer.wait_for_client();
    });
    const Reply reply = played.ask();
    CHECK(reply.status == 502);
    CHECK(contains(reply.body, "not valid HTTP/1.1: "));
    CHECK(played.upstream.arrivals().size() == 1);
    CHECK(played.failures() == 1);
}

TEST_CASE("a status beyond 599 is a 502 with its body") {
    Played played(always(raw_answer("999 x", R"({"error":{"message":"odd"}})")));
    const Reply reply = played.ask();
    CHECK(reply.status == 502);
    CHECK(contains(reply.body, "odd"));
    CHECK(played.failures() == 1);
}

TEST_CASE("small faults of an answer are read over") {
    std::string text;
    SECTION("no reason") { text = "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n{}"; }
    SECTION("nor the blank before it") { text = "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}"; }
    SECTION("blanks behind a chunk's size") {
        text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2  \r\n{}\r\n0 \r\n\r\n";
    }
    Played played(always(text));
    CHECK(played.ask().body == "{}");
    CHECK(played.ask().body == "{}");
    CHECK(played.upstream.connections() == 1);
}

TEST_CASE("an answer that comes before the body is taken is passed on at once") {
    std::string status;
    SECTION("413") { status = "413 Content Too Large"; }
    SECTION("401") { status = "401 Unauthorized"; }
    SECTION("429") { status = "429 Too Many Requests"; }
    SECTION("503") { status = "503 Service Unavailable"; }
    Played played([&](Peer& peer) {
        if (peer.head().empty()) return;
        const std::string text = raw_answer(status, R"({"error":{"message":"early"}})");
        peer.send(text.substr(0, text.size() - 5));
        pause_for(50ms);
        peer.send(text.substr(text.size() - 5));
        peer.wait_for_client();
    });
    // If it waited for the request to be sent its timeout would end the connection, and the rest be lost.
    const Reply reply = played.ask(large_question(20u << 20));
    CHECK(std::to_string(reply.status) == status.substr(0, 3));
    CHECK(contains(reply.body, "early"));
    CHECK(played.rig.deployment("a").upstream().open() == 0);
    CHECK(played.rig.in_flight("a") == 0);
}

TEST_CASE("an early answer is read also where the upstream then closes its side") {
    Played played([&](Peer& peer) {
        if (peer.head().empty()) return;
        peer.send(raw_answer("413 Content Too Large", "{}", "connection: close\r\n"));
        peer.half_close();
        peer.wait_for_client();
    });
    CHECK(played.ask(large_question(20u << 20)).status == 413);
}

TEST_CASE("an upstream that answers 200 before it has read the request gets all of it") {
    Played played([&](Peer& peer) {
        const std::string head = peer.head();
        if (head.empty()) return;
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        pause_for(50ms);
        const std::string length = "content-length: ";
        if (!peer.skip(std::stoul(head.substr(head.find(length) + length.size())))) return;
        peer.send("2\r\n{}\r\n0\r\n\r\n");
        peer.wait_for_client();
    });
    const Reply reply = played.ask(large_question(8u << 20));
    CHECK(reply.status == 200);
    CHECK(reply.body == "{}");
    CHECK(played.rig.deployment("a").upstream().idle() == 1);
}

TEST_CASE("what comes on an idle connection never meets the next request") {
    std::string answer = kAnswer;
    std::string behind;
    bool closes = false;
    SECTION("a second answer") { behind = kStray; }
    SECTION("a body behind a 204") {
        answer = "HTTP/1.1 204 No Content\r\n\r\n";
        behind = kStray;
    }
    SECTION("junk behind a 204") {
        answer = "HTTP/1.1 204 No Content\r\n\r\n";
        behind = "null";
    }
    SECTION("a 408 and the end") {
        behind = kTimeout;
        closes = true;
    }
    SECTION("the end") { closes = true; }
    Played played([&](Peer& peer) {
        if (peer.request().empty()) return;
        peer.send(peer.number == 0 ? answer : kAnswer);
        if (peer.number > 0) return peer.wait_for_client();
        pause_for(5ms);
        peer.send(behind);
        if (closes) return;
        if (!peer.request().empty()) peer.send(kStray);
    });
    CHECK(played.ask().status / 100 == 2);
    played.rig.io.run_for(50ms);  // well below any time that an idle connection could be trusted for
    const Reply second = played.ask();
    CHECK(second.status == 200);
    CHECK(second.body == R"({"mine":1})");
    CHECK(played.upstream.arrivals().size() == 2);
    CHECK(played.upstream.connections() == 2);
    CHECK(played.failures() == 0);
}

TEST_CASE("idle connections that have come to nothing are closed without being asked for") {
    Played played([&](Peer& peer) {
        if (peer.request().empty()) return;
        peer.send(kAnswer);
    });
    CHECK(played.ask().status == 200);
    const Upstream& pool = played.rig.deployment("a").upstream();
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (pool.open() > 0 && std::chrono::steady_clock::now() < end) played.rig.io.run_one_for(100ms);
    CHECK(pool.open() == 0);
}

TEST_CASE("a request whose connection dies at work is not sent again") {
    bool resets = false;
    SECTION("in order") {}
    SECTION("by RST") { resets = true; }
    Played played([&](Peer& peer) {
        if (peer.request().empty()) return;
        peer.send(kAnswer);
        if (peer.request().empty()) return;
        pause_for(300ms);
        if (resets) peer.reset_at_close();
    });
    CHECK(played.ask().status == 200);
    const Reply reply = played.ask();
    CHECK(reply.status == 502);
    CHECK(contains(reply.body, "closed the connection before it answered"));
    CHECK(played.upstream.arrivals().size() == 2);
    CHECK(played.failures() == 1);
    CHECK(played.rig.used("a") == 2);
}

TEST_CASE("a 307 or 308 on the same origin is followed with the same request") {
    std::string status;
    SECTION("307") { status = "307 Temporary Redirect"; }
    SECTION("308") { status = "308 Permanent Redirect"; }
    Played played([&](Peer& peer) {
        if (peer.request().empty()) return;
        peer.send(raw_answer(status, "", "location: /v1/chat/completions/?x=1\r\n"));
        while (!peer.request().empty()) peer.send(kAnswer);
    });
    CHECK(played.ask().body == R"({"mine":1})");
    const std::vector<std::string> requests = played.upstream.arrivals();
    REQUIRE(requests.size() == 2);
    CHECK(requests[1].substr(0, requests[1].find(' ', 5)) == "POST /v1/chat/completions/?x=1");
    CHECK(requests[0].substr(requests[0].find("\r\n")) == requests[1].substr(requests[1].find("\r\n")));
    CHECK(played.upstream.connections() == 1);
    CHECK(played.rig.used("a") == 1);
    CHECK(played.failures() == 0);
}

TEST_CASE("other redirects are the deployment's failure, which says where they lead") {
    std::string status = "307 Temporary Redirect";
    std::string location = "https://other.test:8443/secret-path";
    std::string says = "https://other.test:8443";
    std::size_t arrivals = 1;
    SECTION("another origin") {}
    SECTION("a status that makes a GET of it") {
        status = "302 Found";
        location = "/v1/elsewhere";
        says = "status 302";
    }
    SECTION("no place to go") {
        location = "mailto:x";
        says = "status 307";
    }
    SECTION("a target that would be two requests") {
        location = "/a HTTP/1.1";
        says = "status 307";
    }
    SECTION("304") {
        status = "304 Not Modified";
        says = "status 304";
    }
    SECTION("in a circle") {
        location = "/v1/chat/completions";
        says = "6th";
        arrivals = 6;
    }
    Played played(always(raw_answer(status, "", "location: " + location + "\r\n")));
    const Reply reply = played.ask();
    CHECK(reply.status == 502);
    CHECK(contains(reply.body, "redirects"));
    CHECK(contains(reply.body, says));
    CHECK_FALSE(contains(reply.body, "secret-path"));
    CHECK(played.upstream.arrivals().size() == arrivals);
    CHECK(played.failures() == 1);
    CHECK(played.rig.tokens("a") == 0);
    CHECK(played.rig.in_flight("a") == 0);
}

namespace {

/// No descriptor can be opened while it lives.
class NoDescriptors {
 public:
    NoDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit none = before_;
        none.rlim_cur = 0;
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("a lack of descriptors of our own is a 503, and no failure of the upstream") {
    RawUpstream upstream(always(kAnswer));
    std::string base = upstream.base();
    SECTION("for the connection") {}
    SECTION("for the lookup of its name") { base = "http://localhost:" + std::to_string(upstream.port()); }
    Rig rig({entry("m", "a", base, kLimits), kOneTry});
    for (int i = 0; i < 3; ++i) {
        const NoDescriptors none;
        const Reply reply = rig.ask();
        CHECK(reply.status == 503);
        CHECK(contains(reply.body, "no descriptors, ports or memory left"));
        CHECK(contains(reply.body, "overloaded_error"));
    }
    CHECK(shm::read_health(rig.deployment("a").health(), shm::now()).failures == 0);
    CHECK_FALSE(rig.cooling("a"));
    CHECK(rig.used("a") == 0);
    CHECK(rig.deployment("a").upstream().open() == 0);
    CHECK(rig.ask().status == 200);
}

TEST_CASE("why there is no connection is said, to the client and once to the log") {
    std::string base;
    {
        const RawUpstream gone(always(kAnswer));
        base = gone.base();
    }
    asio::io_context io(1);
    const shm::test::ScratchName scratch;
    std::vector<std::string> lines;
    const RouterOptions options{"test", 7, [&](std::string_view line) { lines.emplace_back(line); }};
    const Setup setup{entry("m", "a", base, kLimits), "num_retries: 0, disable_cooldowns: true"};
    Router router(io, config_of(setup, scratch.name), options);
    router.start();
    for (int i = 0; i < 3; ++i) {
        const Reply reply = run(io, router.complete(R"({"model":"m","messages":[]})"));
        CHECK(reply.status == 500);
        CHECK(contains(reply.body, "is unreachable: Connection refused. Deployment=a"));
    }
    REQUIRE(lines.size() == 1);
    CHECK(contains(lines[0], "Connection refused. Deployment=a"));
}
