#include "router/redis_url.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace weir::router;

namespace {

RedisUrl parsed(std::string_view text) {
    CAPTURE(text);
    const auto url = parse_redis_url(text);
    REQUIRE(url);
    return *url;
}

}  // namespace

TEST_CASE("a server alone has the usual port, and says nothing else") {
    const RedisUrl url = parsed("redis://h");
    CHECK(to_string(url.address) == "h:6379");
    CHECK_FALSE(url.tls);
    CHECK_FALSE(url.username);
    CHECK_FALSE(url.password);
    CHECK_FALSE(url.database);
    CHECK(to_string(parsed("redis://h/").address) == "h:6379");
    CHECK(to_string(parsed("rediss://[::1]:7000/3").address) == "[::1]:7000");
    CHECK(to_string(parsed("redis://[fe80::1%eth0]").address) == "[fe80::1%eth0]:6379");
}

TEST_CASE("before the host stands a user, and behind a colon the password") {
    const RedisUrl both = parsed("redis://us%40er:p%3As@h");
    CHECK(both.username == "us@er");
    CHECK(both.password == "p:s");
    const RedisUrl user = parsed("redis://bob@h");
    CHECK(user.username == "bob");
    CHECK_FALSE(user.password);
    const RedisUrl password = parsed("redis://:p@h");
    CHECK_FALSE(password.username);
    CHECK(password.password == "p");
    CHECK(parsed("redis://:a:b@h").password == "a:b");
    CHECK(parsed("redis://:a@b@h").password == "a@b");
}

TEST_CASE("parameters of a URL") {
    const RedisUrl url = parsed(
        "rediss://h:1/2?db=3&username=u&password=a+b%26c&ssl_ca_certs=/ca.pem&ssl_cert_reqs=none&x=1&y#z");
    CHECK(url.database == 3u);
    CHECK(url.username == "u");
    CHECK(url.password == "a b&c");
    CHECK(url.ca_file == "/ca.pem");
    CHECK(url.unverified);
    CHECK(url.unknown == std::vector<std::string>{"x"});
    const RedisUrl twice = parsed("redis://u:p@h?username=v&password=q&ssl_check_hostname=False");
    CHECK(twice.username == "u");
    CHECK(twice.password == "p");
    CHECK(twice.unverified);
    CHECK_FALSE(parsed("rediss://h?ssl_cert_reqs=required&ssl_check_hostname=true").unverified);
    CHECK(parsed("redis://:p@h?password=a@b").address.host == "h");
}

TEST_CASE("what is no URL of a Redis") {
    for (const char* text :
         {"", "h", "http://h", "redis://", "redis:///3", "redis://h:x", "redis://h:0", "redis://h:65536",
          "redis://h/x", "redis://h?db=x", "redis://a%4:b@h", "redis://h?password=%4", "redis://a:b:c",
          "redis://a,b", "redis://a b", "redis://:pa/ss@h", "redis://[::1", "unix:///run/redis"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_redis_url(text));
    }
}

TEST_CASE("a host is a name or an address") {
    for (const char* text : {"h", "redis_1.local", "127.0.0.1", "::1", "fe80::1%eth0"}) {
        CAPTURE(text);
        CHECK(is_host(text));
    }
    for (const char* text : {"", "h:1", "[::1]", "x:y:z", "redis://h", "a,b", "u@h", "a b"}) {
        CAPTURE(text);
        CHECK_FALSE(is_host(text));
    }
}
