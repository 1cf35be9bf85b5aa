#include "router/url.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace weir::router;

namespace {

Url parsed(std::string_view text) {
    std::string error;
    const auto url = parse_url(text, error);
    CAPTURE(text, error);
    REQUIRE(url);
    return *url;
}

std::string refused(std::string_view text) {
    std::string error;
    CAPTURE(text);
    CHECK_FALSE(parse_url(text, error));
    return error;
}

}  // namespace

TEST_CASE("an address is taken apart") {
    const Url plain = parsed("http://127.0.0.1:8080/v1/");
    CHECK_FALSE(plain.tls);
    CHECK(plain.host == "127.0.0.1");
    CHECK(plain.port == 8080);
    CHECK(plain.path == "/v1");

    const Url secure = parsed("https://api.openai.com");
    CHECK(secure.tls);
    CHECK(secure.port == 443);
    CHECK(secure.path.empty());

    CHECK(parsed("http://h//").path.empty());
    CHECK(parsed("http://h/a/b/").path == "/a/b");
}

TEST_CASE("an IPv6 address stands in brackets") {
    const Url url = parsed("http://[::1]:8080/v1");
    CHECK(url.host == "::1");
    CHECK(url.port == 8080);
    CHECK(authority(url) == "[::1]:8080");
    CHECK(parsed("http://[fe80::1]").host == "fe80::1");
    CHECK(authority(parsed("http://[fe80::1]")) == "[fe80::1]");
}

TEST_CASE("a Host field leaves out the scheme's own port") {
    CHECK(authority(parsed("http://h")) == "h");
    CHECK(authority(parsed("http://h:80")) == "h");
    CHECK(authority(parsed("http://h:443")) == "h:443");
    CHECK(authority(parsed("https://h:443")) == "h");
    CHECK(authority(parsed("https://h:80")) == "h:80");
}

TEST_CASE("what is no address is refused with the reason") {
    using Catch::Matchers::Contains;
    CHECK_THAT(refused("api.openai.com"), Contains("neither http:// nor https://"));
    CHECK_THAT(refused("HTTP://h"), Contains("neither"));
    CHECK_THAT(refused(""), Contains("neither"));
    CHECK_THAT(refused("http://"), Contains("the host is missing"));
    CHECK_THAT(refused("http:///v1"), Contains("the host is missing"));
    CHECK_THAT(refused("http://:80"), Contains("the host is missing"));
    for (const char* port : {"http://h:", "http://h:0", "http://h:65536", "http://h:8o", "http://h:-1"}) {
        CHECK_THAT(refused(port), Contains("the port is not a number from 1 to 65535"));
    }
    CHECK_THAT(refused("http://[]"), Contains("the host is missing"));
    CHECK_THAT(refused("http://[::1"), Contains("bracket is not closed"));
    CHECK_THAT(refused("http://[a]b:1"), Contains("behind the host's bracket"));
    for (const char* host : {"http://u@h/", "http://::1]", "http://h?x=1", "http://h#x"}) {
        CHECK_THAT(refused(host), Contains("no host has these") || Contains("the port is not"));
    }
    CHECK_THAT(refused("http://::1/v1"), Contains("the port is not"));
    CHECK_THAT(refused("http://u:p@h"), Contains("the port is not"));
    // Neither a resolver nor a Host field may get these.
    for (const char* host : {"http://a b", "http://h\r\nx: y", "http://h/a b", "http://h\x7f", " http://h"}) {
        CHECK_THAT(refused(host), Contains("blank"));
    }
}

TEST_CASE("bytes behind percent signs") {
    CHECK(percent_decoded("") == "");
    CHECK(percent_decoded("a%2Fb%2fc%20%25") == "a/b/c %");
    CHECK(percent_decoded("%00") == std::string(1, '\0'));
    for (const char* wrong : {"%", "%4", "a%", "%zz", "%4g", "%+4", "%-1"}) {
        CAPTURE(wrong);
        CHECK_FALSE(percent_decoded(wrong));
    }
}
