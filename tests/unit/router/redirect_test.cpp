// Where redirects lead.
#include "router/redirect.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace weir::router;

namespace {

Url url(const std::string& text) {
    std::string error;
    const auto parsed = parse_url(text, error);
    REQUIRE(parsed);
    return *parsed;
}

constexpr const char* kTarget = "/v1/chat/completions?a=1";

}  // namespace

TEST_CASE("a Location on the same origin leads to a target there") {
    struct Case {
        std::string base;
        std::string location;
        std::string target;
    };
    const std::vector<Case> cases = {
        {"http://api.test/v1", "/v1/chat/completions/", "/v1/chat/completions/"},
        {"http://api.test/v1", "http://api.test/x?b=2", "/x?b=2"},
        {"http://api.test/v1", "HTTP://API.test:80/x", "/x"},
        {"http://api.test:8000/v1", "//api.test:8000/x", "/x"},
        {"https://api.test/v1", "https://api.test:443/x", "/x"},
        {"https://[::1]:8443/v1", "https://[::1]:8443/x", "/x"},
        {"http://api.test/v1", "http://api.test", "/"},
        {"http://api.test/v1", "http://api.test?b=2", "/?b=2"},
        {"http://api.test/v1", "/x#part", "/x"},
        {"http://api.test/v1", "completions/", "/v1/chat/completions/"},
        {"http://api.test/v1", "?b=2", "/v1/chat/completions?b=2"},
    };
    for (const Case& one : cases) {
        INFO(one.location);
        const auto location = read_location(url(one.base), kTarget, one.location);
        REQUIRE(location);
        CHECK(location->same_origin);
        CHECK(location->target == one.target);
    }
}

TEST_CASE("another scheme, host or port is another origin, which is named without the rest") {
    struct Case {
        std::string location;
        std::string origin;
    };
    const std::vector<Case> cases = {
        {"https://api.test/x?key=secret", "https://api.test"},
        {"http://other.test/secret", "http://other.test"},
        {"http://api.test:8000/x", "http://api.test:8000"},
        {"//other.test/x", "http://other.test"},
        {"http://api.test.other.test/x", "http://api.test.other.test"},
    };
    for (const Case& one : cases) {
        INFO(one.location);
        const auto location = read_location(url("http://api.test/v1"), kTarget, one.location);
        REQUIRE(location);
        CHECK_FALSE(location->same_origin);
        CHECK(location->origin == one.origin);
    }
}

TEST_CASE("what cannot be asked for leads nowhere") {
    const std::vector<std::string> nowhere = {
        "", "#part", "/a b", "/a\tb", "/a\rb", "/a\nb", "/caf\xc3\xa9", "ftp://api.test/x", "mailto:x",
        "http:/x", "http://", "http://user:secret@api.test/x", "http://api.test:0/x", "http://api.test:x/",
        "/" + std::string(10'000, 'a')};
    for (const std::string& location : nowhere) {
        INFO(location);
        CHECK_FALSE(read_location(url("http://api.test/v1"), kTarget, location));
    }
}

TEST_CASE("a request line's target is found, and replaced") {
    std::string head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a b\r\n\r\n";
    CHECK(request_target(head) == "/v1/chat/completions");
    set_request_target(head, "/other?x=1");
    CHECK(head == "POST /other?x=1 HTTP/1.1\r\nhost: a b\r\n\r\n");
    CHECK(request_target("").empty());
    CHECK(request_target("POST\r\n").empty());
    std::string none = "POST";
    set_request_target(none, "/x");
    CHECK(none == "POST");
}

TEST_CASE("307 and 308 keep the request, other redirects make another one of it") {
    for (const unsigned status : {300u, 301u, 302u, 303u, 304u, 307u, 308u, 399u}) {
        INFO(status);
        CHECK(is_redirect(status));
        CHECK(keeps_request(status) == (status == 307 || status == 308));
    }
    CHECK_FALSE(is_redirect(200));
    CHECK_FALSE(is_redirect(400));
}
