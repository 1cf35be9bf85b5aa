// TLS to upstreams: verified, by name.
#include <catch2/catch.hpp>

#include "rig.hpp"
#include "tests/support/tls_upstream.hpp"

using namespace weir::router::test;
using weir::test::Certificate;
using weir::test::TlsUpstream;

namespace {

const std::string kLimits = "rpm: 100, tpm: 100000";
const std::string kQuestion = R"({"model":"m"})";

std::string trusting(const Certificate& certificate) {
    return "upstream: {ca_file: '" + certificate.certificate().string() + "'}";
}

void check_refused(Rig& rig) {
    const auto reply = rig.ask(kQuestion);
    CHECK(reply.status == 500);
    CHECK(reply.body.find("TLS") != std::string::npos);
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

TEST_CASE("a certificate for another name is refused") {
    const Certificate certificate("DNS:other.test");
    const TlsUpstream upstream(certificate);
    Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(certificate)});
    check_refused(rig);
}

TEST_CASE("a certificate that nobody vouches for is refused") {
    const Certificate certificate("DNS:localhost");
    const TlsUpstream upstream(certificate);
    SECTION("by the system") {
        Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0"});
        check_refused(rig);
    }
    SECTION("by the configured file") {
        const Certificate another("DNS:localhost");
        Rig rig({entry("m", "a", upstream.base("localhost"), kLimits), "num_retries: 0", trusting(another)});
        check_refused(rig);
    }
}
