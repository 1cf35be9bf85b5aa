// TLS to upstreams: verified, by name.
#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

#include "rig.hpp"
#include "tests/support/raw_upstream.hpp"
#include "tests/support/tls_upstream.hpp"
#include "tests/support/wait.hpp"

using namespace weir::router;
using namespace weir::router::test;
using weir::test::Certificate;
using weir::test::RawUpstream;
using weir::test::TlsUpstream;

namespace {

const std::string kLimits = "rpm: 100, tpm: 100000";
const std::string kQuestion = R"({"model":"m"})";

std::string trusting(const Certificate& certificate) {
    return "upstream: {ca_file: '" + certificate.certificate().string() + "'}";
}

void check_refused(Rig& rig, const std::string& why) {
    const auto reply = rig.ask(kQuestion);
    CHECK(reply.status == 500);
    CHECK(contains(reply.body, "the TLS handshake with the upstream failed: " + why));
    CHECK(rig.used("a") == 0);  // nothing has been sent
    CHECK(rig.tokens("a") == 0);
    CHECK(rig.in_flight("a") == 0);
}

}  // namespace

TEST_CASE("an upstream is asked by its name, and answers if that name is in its certificate") {
    const Certificate certificate("DNS:localhost");
    const TlsUpstream upstream(certificate);
    Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(certificate)});
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(rig.tokens("a") == 21);
    CHECK(upstream.names() == std::vector<std::string>{"localhost"});
}

TEST_CASE("an address is verified, too, but not named in the greeting") {
    const Certificate certificate("IP:127.0.0.1");
    const TlsUpstream upstream(certificate);
    Rig rig({entry("m", "a", upstream.base("127.0.0.1"), kLimits), "num_retries: 0", trusting(certificate)});
    CHECK(rig.ask(kQuestion).status == 200);
    CHECK(upstream.names() == std::vector<std::string>{""});
}

TEST_CASE("a certificate for another name is refused, and the error says so") {
    const Certificate certificate("DNS:other.test");
    const TlsUpstream upstream(certificate);
    Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(certificate)});
    check_refused(rig, "its certificate is not accepted: hostname mismatch");
}

TEST_CASE("one for another address, too") {
    const Certificate certificate("IP:127.0.0.2");
    const TlsUpstream upstream(certificate);
    Rig rig({entry("m", "a", upstream.base("127.0.0.1"), kLimits), "num_retries: 0", trusting(certificate)});
    check_refused(rig, "its certificate is not accepted: IP address mismatch");
}

TEST_CASE("an expired one, too") {
    const Certificate certificate("DNS:localhost", -30);
    const TlsUpstream upstream(certificate);
    Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(certificate)});
    check_refused(rig, "its certificate is not accepted: certificate has expired");
}

TEST_CASE("and one that nobody vouches for") {
    const Certificate certificate("DNS:localhost");
    const TlsUpstream upstream(certificate);
    SECTION("by the system") {
        Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0"});
        check_refused(rig, "its certificate is not accepted: self-signed certificate");
    }
    SECTION("by the configured file") {
        const Certificate another("DNS:localhost");
        Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(another)});
        check_refused(rig, "its certificate is not accepted: self-signed certificate");
    }
}

TEST_CASE("what does not speak TLS is said to fail at that") {
    RawUpstream upstream([](RawUpstream::Peer& peer) { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"); });
    const std::string base = "https://127.0.0.1:" + std::to_string(upstream.port());
    Rig rig({entry("m", "a", base, kLimits), "num_retries: 0"});
    check_refused(rig, "");
}

TEST_CASE("the dot at the end of an absolute name is for its lookup alone") {
    const Certificate certificate("DNS:tdot.test");
    const TlsUpstream upstream(certificate);
    asio::io_context io(1);
    Pulse pulse(io);
    std::string error;
    const auto url = parse_url(upstream.base("tdot.test."), error);
    REQUIRE(url);
    ConnectionSettings settings;
    settings.ca_file = certificate.certificate().string();
    std::string asked;
    const Resolver resolver = [&](std::string host, std::uint16_t port) -> Task<std::vector<Tcp::endpoint>> {
        asked = host;
        co_return std::vector{Tcp::endpoint(asio::ip::address_v4::loopback(), port)};
    };
    Upstream pool(io, pulse, *url, settings, resolver);
    auto acquired = run(io, pool.acquire(true));
    CHECK(acquired.error == TransportError::none);
    CHECK(acquired.reason.empty());
    CHECK(asked == "tdot.test.");
    pool.release(std::move(acquired.connection), false);
    // The upstream's side of the handshake may end after ours.
    CHECK(weir::test::wait_until([&] { return !upstream.names().empty(); }));
    CHECK(upstream.names() == std::vector<std::string>{"tdot.test"});
}

TEST_CASE("what TLS has read behind an answer never meets the next request") {
    const Certificate certificate("DNS:localhost");
    const TlsUpstream upstream(certificate, "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"stray\":1}");
    Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(certificate)});
    CHECK(rig.ask(kQuestion).status == 200);
    rig.io.run_for(std::chrono::milliseconds(20));
    const auto second = rig.ask(kQuestion);
    CHECK(second.status == 200);
    CHECK_FALSE(contains(second.body, "stray"));
    CHECK(weir::test::wait_until([&] { return upstream.names().size() == 2; }));
}
