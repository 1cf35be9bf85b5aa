#include "fake_server/request.hpp"

#include <catch2/catch.hpp>

using namespace weir::fake_server;

TEST_CASE("A query is looked up by whole names") {
    Request request;
    request.target = "/__ledger?since=12&summary&x=";
    CHECK(request.path() == "/__ledger");
    CHECK(request.query("since") == std::string_view("12"));
    CHECK(request.query("summary") == std::string_view(""));
    CHECK(request.query("x") == std::string_view(""));
    CHECK_FALSE(request.query("sinc"));
    request.target = "/__ledger";
    CHECK_FALSE(request.query("since"));
}

TEST_CASE("Fields are kept in order and found by the first of a name, in any spelling") {
    Request request;
    request.add_field("X-A", "1");
    request.add_field("x-a", "2");
    request.add_field("Empty", "");
    REQUIRE(request.field_count() == 3);
    CHECK(request.field(0).name == "X-A");
    CHECK(request.field(1).value == "2");
    CHECK(request.find("x-A") == std::string_view("1"));
    CHECK(request.find("EMPTY") == std::string_view(""));
    CHECK_FALSE(request.find("x"));
}

TEST_CASE("Names are the same in any spelling, but not when one is longer") {
    CHECK(same_name("Content-Length", "content-LENGTH"));
    CHECK_FALSE(same_name("content", "content-length"));
    CHECK_FALSE(same_name("a@", "a`"));  // 32 apart, and no letters
}

TEST_CASE("A cleared request remembers nothing of the one before") {
    Request request;
    request.method = "POST";
    request.target = "/a?b=c";
    request.body = "body";
    request.version = 10;
    request.keep_alive = false;
    request.add_field("cookie", "secret");
    request.clear();
    CHECK(request.method.empty());
    CHECK(request.path().empty());
    CHECK_FALSE(request.query("b"));
    CHECK(request.body.empty());
    CHECK(request.version == 11);
    CHECK(request.keep_alive);
    CHECK(request.field_count() == 0);
    CHECK_FALSE(request.find("cookie"));
}
