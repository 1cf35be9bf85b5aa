#include "router/redis/redis_value.hpp"

#include <catch2/catch.hpp>

using namespace weir::router;

TEST_CASE("a command is written as an array of bulk strings") {
    std::string out;
    append_command(std::vector<std::string>{"SET", "k", std::string("a\0\r\n", 4)}, out);
    CHECK(out == std::string("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\0\r\n\r\n", 30));
}

TEST_CASE("values are put together from bytes as they come") {
    const std::string bytes = "*4\r\n:-7\r\n$2\r\nab\r\n$-1\r\n+OK\r\n-NOSCRIPT No matching script.\r\n";
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        RedisReader reader;
        std::vector<RedisValue> values;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            REQUIRE(reader.feed(std::string_view(bytes).substr(at, piece)));
            while (auto value = reader.next()) values.push_back(std::move(*value));
        }
        CAPTURE(piece);
        REQUIRE(values.size() == 2);
        REQUIRE(values[0].kind == RedisValue::Kind::array);
        REQUIRE(values[0].elements.size() == 4);
        CHECK(values[0].elements[0].integer == -7);
        CHECK(values[0].elements[1].text == "ab");
        CHECK(values[0].elements[2].kind == RedisValue::Kind::nil);
        CHECK(values[0].elements[3].text == "OK");
        CHECK(values[1].is_error());
        CHECK(values[1].error_code() == "NOSCRIPT");
    }
}

TEST_CASE("what is no RESP is malformed, and stays so") {
    RedisReader reader;
    reader.feed("HTTP/1.1 400 Bad Request\r\n");
    CHECK_FALSE(reader.next());
    CHECK(reader.malformed());
    CHECK_FALSE(reader.feed("+OK\r\n"));
    CHECK_FALSE(reader.next());
}

TEST_CASE("a redirect says where a hash slot is") {
    const auto moved = read_redirect("MOVED 3999 127.0.0.1:6381");
    REQUIRE(moved);
    CHECK_FALSE(moved->ask);
    CHECK(moved->host == "127.0.0.1");
    CHECK(moved->port == 6381);
    const auto ask = read_redirect("ASK 1 fe80::1:7000");
    REQUIRE(ask);
    CHECK(ask->ask);
    CHECK(ask->host == "fe80::1");
    CHECK(ask->port == 7000);
    CHECK(read_redirect("MOVED 1 :7000")->host.empty());
    for (const char* other :
         {"", "MOVED", "MOVED 1", "MOVED 1 host", "MOVED 1 host:0", "MOVED 1 host:x", "ERR MOVED"}) {
        CAPTURE(other);
        CHECK_FALSE(read_redirect(other));
    }
}
