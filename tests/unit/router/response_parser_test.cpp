// Answers of upstreams, as tables: what is read, what is refused, and where it ends.
#include "router/response_parser.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using weir::router::ResponseParser;
using State = ResponseParser::State;

namespace {

/// What comes of `text`, read in pieces of `step` bytes at most; what is not consumed is offered again.
struct Reading {
    explicit Reading(const std::string& text, std::size_t step = std::string::npos) {
        std::string pending;
        for (std::size_t at = 0; at < text.size(); at += step) {
            pending += text.substr(at, step);
            ResponseParser::Pieces pieces;
            const std::size_t used = parser.read(pending, pieces);
            REQUIRE(used <= pending.size());
            for (const std::string_view piece : pieces) body += piece;
            pending.erase(0, used);
            if (step == std::string::npos) break;
        }
        rest = pending;
    }
    ResponseParser parser;
    std::string body;
    std::string rest;
};

const std::string kOk = "HTTP/1.1 200 OK\r\n";

std::string chunked(const std::string& body) { return kOk + "transfer-encoding: chunked\r\n\r\n" + body; }

}  // namespace

TEST_CASE("an answer is read alike however it is cut, and no further than to its end") {
    struct Case {
        std::string text;
        unsigned status;
        std::string body;
        bool keep_alive;
    };
    const std::vector<Case> cases = {
        {kOk + "Content-Length: 5\r\n\r\nhello", 200, "hello", true},
        {kOk + "Content-Length: 0\r\n\r\n", 200, "", true},
        {kOk + "content-length:5\r\nConnection: Close\r\n\r\nhello", 200, "hello", false},
        {kOk + "content-length: 1\r\nconnection: x\r\nconnection: y, close\r\n\r\na", 200, "a", false},
        {chunked("5\r\nhello\r\n0\r\n\r\n"), 200, "hello", true},
        {chunked("2\r\nhe\r\n0003;a=b;c\r\nllo\r\n0;x\r\nx-end: 1\r\n\r\n"), 200, "hello", true},
        {chunked("a\r\n0123456789\r\nA \t\r\n0123456789\r\n0  \r\n\r\n"), 200, "01234567890123456789", true},
        {kOk + "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", true},
        {"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", 200, "a", false},
        {"HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\na", 200, "a", true},
        {"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\na", 200, "a", true},
        {"HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\na", 200, "a", true},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
        {"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, "", true},
        {"HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n", 204, "", false},
        {"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", 204, "", false},
        {"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", 304, "", true},
        {"HTTP/1.1 600 x\r\ncontent-length: 1\r\n\r\na", 502, "a", true},
        {"HTTP/1.1 999 x\r\ncontent-length: 1\r\n\r\na", 502, "a", true},
        {"HTTP/1.1 599 x\r\ncontent-length: 1\r\n\r\na", 599, "a", true},
    };
    for (const Case& one : cases) {
        for (const std::size_t step : {std::string::npos, std::size_t{1}, std::size_t{2}, std::size_t{7}}) {
            INFO(one.text << " by " << step);
            const Reading reading(one.text + "NEXT", step);
            CHECK(reading.parser.state() == State::done);
            CHECK(reading.parser.status() == one.status);
            CHECK(reading.body == one.body);
            CHECK(reading.rest == "NEXT");
            CHECK(reading.parser.keep_alive() == one.keep_alive);
        }
    }
}

namespace {

struct Refused {
    std::string text;
    std::string reason;
};

std::string with(const std::string& fields) { return kOk + fields + "\r\n"; }

void check_refused(const std::vector<Refused>& cases) {
    for (const Refused& one : cases) {
        for (const std::size_t step : {std::string::npos, std::size_t{1}}) {
            INFO(one.text << " by " << step);
            Reading reading(one.text, step);
            CHECK(reading.parser.state() == State::bad);
            CHECK(std::string(reading.parser.error()).find(one.reason) != std::string::npos);
            CHECK_FALSE(reading.parser.end());
        }
    }
}

}  // namespace

TEST_CASE("an answer that is no HTTP is refused with the reason") {
    check_refused({
        {"SSH-2.0-x", "does not begin with HTTP/1."},
        {"\r\nHTTP/1.1 200 OK\r\n", "does not begin"},
        {"HTTP/2.0 200 OK\r\n", "does not begin"},
        {"HTTP/1.2 200 OK\r\n", "status line"},
        {"HTTP/1.1  200 OK\r\n", "status line"},
        {"HTTP/1.1 20 OK\r\n", "status line"},
        {"HTTP/1.1 2000 OK\r\n", "status line"},
        {"HTTP/1.1 -20 OK\r\n", "status line"},
        {"HTTP/1.1\r\n", "status line"},
        {"HTTP/1.1 200 O\rK\r\n", "status line"},
        {"HTTP/1.1 000 x\r\n", "below 100"},
        {"HTTP/1.1 099 x\r\n", "below 100"},
        {"HTTP/1.1 200 OK\n", "CR LF"},
        {with("a: b\n"), "CR LF"},
        {with("no colon\r\n"), "malformed"},
        {with(": no name\r\n"), "malformed"},
        {with("blank : x\r\n"), "malformed"},
        {with("a: b\r\n folded\r\n"), "second line"},
        {with(std::string("a: b\0c\r\n", 8)), "malformed"},
        {with("a: b\rc\r\n"), "malformed"},
        {with("a: b\x7f\r\n"), "malformed"},
        {with("a: 12345678\x1b\r\n"), "malformed"},
    });
}

TEST_CASE("an answer whose end is not certain is refused with the reason") {
    check_refused({
        {with("content-length: 5\r\ncontent-length: 5\r\n"), "two Content-Length"},
        {with("content-length: 5\r\nContent-Length: 6\r\n"), "two Content-Length"},
        {with("content-length: 5, 5\r\n"), "not a number"},
        {with("content-length: +5\r\n"), "not a number"},
        {with("content-length: -5\r\n"), "not a number"},
        {with("content-length: 0x5\r\n"), "not a number"},
        {with("content-length: \r\n"), "not a number"},
        {with("content-length: 99999999999999999999\r\n"), "not a number"},
        {with("content-length: 5\r\ntransfer-encoding: chunked\r\n"), "beside"},
        {with("transfer-encoding: chunked\r\ncontent-length: 5\r\n"), "beside"},
        {with("transfer-encoding: gzip\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: gzip\r\ncontent-length: 5\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: gzip, chunked\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: chunked, identity\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: identity\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: xchunked\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: \"chunked\"\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: chunked;q=1\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: , chunked\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: chunked\xa0\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding:\r\n"), "Transfer-Encoding"},
        {with("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), "Transfer-Encoding"},
        {"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.0"},
        {chunked("x\r\n"), "size of a chunk"},
        {chunked("\r\n"), "size of a chunk"},
        {chunked("0x5\r\n"), "size of a chunk"},
        {chunked("-5\r\n"), "size of a chunk"},
        {chunked(" 5\r\n"), "size of a chunk"},
        {chunked("5 5\r\n"), "size of a chunk"},
        {chunked("5;a=\"\r\"\r\n"), "size of a chunk"},
        {chunked("5;a=\"\n\"\r\n"), "CR LF"},
        {chunked("1000000000000000\r\n"), "size of a chunk"},
        {chunked("10000000000000000\r\n"), "size of a chunk"},
        {chunked("1\r\nab\r\n"), "longer than its size"},
        {chunked("1\r\na\n"), "longer than its size"},
        {chunked("0\r\nno colon\r\n"), "trailer"},
    });
}

TEST_CASE("an answer without a length ends with its connection, any other does not") {
    Reading open(kOk + "content-type: text/plain\r\n\r\nhello");
    CHECK(open.parser.state() == State::body);
    CHECK_FALSE(open.parser.content_length());
    CHECK(open.parser.end());
    CHECK(open.body == "hello");
    CHECK_FALSE(open.parser.keep_alive());
    for (const std::string& text : {std::string("HTTP/1.1 20"), kOk, kOk + "content-length: 5\r\n\r\nhell",
                                    chunked("5\r\nhello\r\n"), chunked("0\r\n"), chunked("")}) {
        INFO(text);
        Reading cut(text);
        CHECK_FALSE(cut.parser.end());
    }
}

TEST_CASE("a length is told only where a body of that length follows") {
    CHECK(Reading(kOk + "content-length: 5\r\n\r\n").parser.content_length() == 5u);
    CHECK(Reading(kOk + "content-length: 0\r\n\r\n").parser.content_length() == 0u);
    CHECK_FALSE(Reading("HTTP/1.1 204 x\r\ncontent-length: 5\r\n\r\n").parser.content_length());
    CHECK_FALSE(Reading("HTTP/1.1 304 x\r\ncontent-length: 5\r\n\r\n").parser.content_length());
    CHECK_FALSE(Reading(chunked("")).parser.content_length());
}

TEST_CASE("fields of the head are kept, those of a trailer and of an interim answer are not") {
    Reading reading(chunked("0\r\nx-late: 1\r\n\r\n"));
    CHECK(reading.parser.fields().size() == 1);
    CHECK(reading.parser.fields().get("Transfer-Encoding") == "chunked");
    Reading interim("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\ncontent-length: 9\r\n\r\n" + kOk +
                    "content-length: 1\r\nx: \t y \r\n\r\na");
    CHECK(interim.parser.state() == State::interim);
    CHECK(interim.parser.status() == 103);
    CHECK(interim.parser.fields().get("link") == "</a>");
    interim.parser.go_on();
    ResponseParser::Pieces pieces;
    CHECK(interim.parser.read(interim.rest, pieces) == interim.rest.size());
    CHECK(interim.parser.state() == State::done);
    CHECK_FALSE(interim.parser.fields().has("link"));
    CHECK(interim.parser.fields().get("x") == "y");
}

TEST_CASE("what a head, a chunk's line and a trailer may take is bounded") {
    const auto state_of = [](const std::string& text) { return Reading(text).parser.state(); };
    const auto fields = [](std::size_t count) {
        std::string text = kOk;
        for (std::size_t i = 0; i < count; ++i) text += "x: y\r\n";
        return text;
    };
    CHECK(state_of(fields(ResponseParser::kFieldsMax) + "\r\n") == State::body);
    CHECK(state_of(fields(ResponseParser::kFieldsMax + 1) + "\r\n") == State::bad);
    const std::string most(ResponseParser::kHeadBytesMax - kOk.size() - 7, 'a');
    CHECK(state_of(kOk + "x: " + most + "\r\n\r\n") == State::body);
    CHECK(state_of(kOk + "x: " + most + "a\r\n\r\n") == State::bad);
    CHECK(state_of(kOk + std::string(ResponseParser::kHeadBytesMax, 'a')) == State::bad);
    const std::string half(ResponseParser::kConnectionBytesMax / 2, 'a');
    const std::string two = "connection: " + half + "\r\nconnection: " + half;
    CHECK(state_of(kOk + two + "\r\n\r\n") == State::body);
    CHECK(state_of(kOk + two + "a\r\n\r\n") == State::bad);
    CHECK(state_of(chunked("5;" + std::string(ResponseParser::kChunkLineMax, 'a'))) == State::bad);
    CHECK(state_of(chunked("0\r\nx: " + std::string(ResponseParser::kTrailerBytesMax, 'a'))) == State::bad);
    std::string trailers = chunked("0\r\n");
    for (int i = 0; i < 100; ++i) trailers += "x: " + std::string(100, 'a') + "\r\n";
    CHECK(state_of(trailers) == State::bad);
}

TEST_CASE("heads of interim answers count into what a head may take, and the next answer begins anew") {
    const std::string hint = "HTTP/1.1 103 Early Hints\r\nlink: " + std::string(1000, 'a') + "\r\n\r\n";
    ResponseParser parser;
    ResponseParser::Pieces pieces;
    std::size_t heads = 0;
    while (heads < 100 && parser.read(hint, pieces) == hint.size()) {
        REQUIRE(parser.state() == State::interim);
        parser.go_on();
        ++heads;
    }
    CHECK(heads == ResponseParser::kHeadBytesMax / hint.size());
    CHECK(parser.state() == State::bad);
    parser.reset();
    CHECK(parser.error().empty());
    CHECK(parser.read(hint, pieces) == hint.size());
    CHECK(parser.state() == State::interim);
}
