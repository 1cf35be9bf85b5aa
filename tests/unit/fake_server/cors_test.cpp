#include "fake_server/cors.hpp"

#include <catch2/catch.hpp>

using namespace weir::fake_server;

namespace {

Request from(const std::string& origin, const std::string& method = "POST") {
    Request request;
    request.method = method;
    request.add_field("Origin", origin);
    return request;
}

}  // namespace

TEST_CASE("Only a browser's question beforehand is a preflight") {
    Answer answer;
    CHECK_FALSE(answer_preflight(from("http://a", "OPTIONS"), answer));  // what for, it does not say
    Request other = from("http://a");
    other.add_field("access-control-request-method", "POST");
    CHECK_FALSE(answer_preflight(other, answer));  // no OPTIONS
    Request nowhere;
    nowhere.method = "OPTIONS";
    nowhere.add_field("access-control-request-method", "POST");
    CHECK_FALSE(answer_preflight(nowhere, answer));  // no origin
    CHECK(answer.headers.empty());
}

TEST_CASE("A preflight allows the origin, every method and the headers that it asks for") {
    Request request = from("http://a", "OPTIONS");
    request.add_field("access-control-request-method", "PUT");
    Answer answer;
    REQUIRE(answer_preflight(request, answer));
    CHECK(answer.status == 200);
    CHECK(answer.headers.find("access-control-allow-origin: http://a\r\n") != std::string::npos);
    CHECK(answer.headers.find("access-control-allow-credentials: true\r\n") != std::string::npos);
    CHECK(answer.headers.find("PUT") != std::string::npos);
    CHECK(answer.headers.find("access-control-allow-headers") == std::string::npos);

    request.add_field("access-control-request-headers", "authorization, x-b");
    Answer with_headers;
    REQUIRE(answer_preflight(request, with_headers));
    CHECK(with_headers.headers.find("access-control-allow-headers: authorization, x-b\r\n") !=
          std::string::npos);
}

TEST_CASE("Every origin may read an answer, one with cookies by its name") {
    std::string headers;
    append_cors(Request{}, headers);
    CHECK(headers.empty());
    append_cors(from("http://a"), headers);
    CHECK(headers == "access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n");
    Request known = from("http://a");
    known.add_field("cookie", "c");
    headers.clear();
    append_cors(known, headers);
    CHECK(headers == "access-control-allow-origin: http://a\r\n"
                     "access-control-allow-credentials: true\r\nvary: Origin\r\n");
}
