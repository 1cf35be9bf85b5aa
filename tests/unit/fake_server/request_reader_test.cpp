#include "fake_server/request_reader.hpp"

#include <catch2/catch.hpp>

using namespace weir::fake_server;
using State = RequestReader::State;

namespace {

constexpr std::string_view kTwo =
    "POST /v1/chat/completions?a=1&b HTTP/1.1\r\nHost: x\r\nX-ODD: \t v1 \r\nx-odd: v2\r\n"
    "Content-Length: 5\r\n\r\nhello"
    "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";

void check_two(RequestReader& reader, std::string_view bytes, std::size_t step) {
    std::string pending;
    std::vector<Request> seen;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        pending.append(bytes.substr(at, step));
        for (;;) {
            std::string_view rest = pending;
            const State state = reader.feed(rest);
            pending.erase(0, pending.size() - rest.size());
            REQUIRE(state != State::bad);
            if (state == State::more) break;
            seen.push_back(reader.request());
            reader.next();
            if (pending.empty()) break;
        }
    }
    REQUIRE(seen.size() == 2);
    CHECK(pending.empty());
    CHECK(seen[0].target == "/v1/chat/completions?a=1&b");
    CHECK(seen[0].body == "hello");
    CHECK(seen[0].field_count() == 4);
    CHECK(seen[0].field(1).name == "X-ODD");
    CHECK(seen[0].field(1).value == "v1");
    CHECK(seen[0].find("x-Odd") == std::string_view("v1"));
    CHECK(seen[1].target == "/b");
    CHECK(seen[1].body == "abcde");
}

}  // namespace

TEST_CASE("Two requests in a row are read whatever the pieces they come in") {
    for (std::size_t step = 1; step <= kTwo.size(); ++step) {
        INFO("pieces of " << step);
        RequestReader reader{RequestReader::Limits{}};
        check_two(reader, kTwo, step);
    }
}

TEST_CASE("What is not HTTP is bad, and says why") {
    for (const char* bytes : {"\r\nnonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                              "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                              "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        INFO(bytes);
        RequestReader reader{RequestReader::Limits{}};
        std::string_view rest(bytes);
        CHECK(reader.feed(rest) == State::bad);
        CHECK_FALSE(reader.error().empty());
    }
}

TEST_CASE("Header and body are bounded") {
    RequestReader reader({.header_bytes_max = 100, .body_bytes_max = 10});
    const std::string long_header = "GET / HTTP/1.1\r\nA: " + std::string(200, 'a') + "\r\n\r\n";
    std::string_view rest(long_header);
    CHECK(reader.feed(rest) == State::bad);
    reader.next();
    rest = "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n12345678901";
    CHECK(reader.feed(rest) == State::bad);
}

TEST_CASE("Who waits for leave to send a body gets it once") {
    RequestReader reader{RequestReader::Limits{}};
    std::string_view rest = "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    CHECK(reader.feed(rest) == State::more);
    CHECK(reader.take_continue());
    CHECK_FALSE(reader.take_continue());
    rest = "ab";
    CHECK(reader.feed(rest) == State::complete);
    CHECK(reader.request().body == "ab");
}

TEST_CASE("Keep-alive follows version and connection header") {
    const auto keeps = [](std::string_view bytes) {
        RequestReader reader{RequestReader::Limits{}};
        REQUIRE(reader.feed(bytes) == State::complete);
        return reader.request().keep_alive;
    };
    CHECK(keeps("GET / HTTP/1.1\r\n\r\n"));
    CHECK_FALSE(keeps("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
    CHECK_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
    CHECK(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}
