// HTTP as clients and upstreams might write it. However the bytes are cut into pieces, a message is read in
// the same way, and what is accepted could not be understood otherwise by whoever reads it next.
#include <catch2/catch.hpp>

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fake_server/request_reader.hpp"
#include "mutator.hpp"
#include "router/fields.hpp"
#include "router/http_parser.hpp"
#include "router/response_parser.hpp"

using weir::router::Fields;
using weir::router::HttpParser;
using weir::router::MessageHead;
using weir::router::ResponseParser;
using weir::test::fuzz_rounds;
using weir::test::Mutator;

namespace {

/// More than any damaged head has: where exactly this limit bites depends on the cut.
constexpr std::uint32_t kHeadBytesMax = 64u << 10;

const std::vector<std::string> kRequests = {
    "POST /v1/chat/completions?a=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    "Authorization: Bearer sk-1\r\nContent-Length: 13\r\n\r\n{\"model\":\"a\"}",
    "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n"
    "5\r\n{\"mod\r\n8;ext=1\r\nel\":\"a\"}\r\n0\r\nx-end: 1\r\n\r\n",
    "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
};

const std::vector<std::string> kResponses = {
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"model\":\"a\"}",
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    "a\r\ndata: {}\n\n\r\n0\r\n\r\n",
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
};

const std::vector<std::string> kTokens = {
    "\r\n", "\n", "\r", "\r\n\r\n", ":", " ", "\t", "0", "-1", "+5", "0x5", "ffffffffffffffff",
    "99999999999999999999", "Content-Length: 5\r\n", "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding : chunked\r\n", " folded\r\n", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0",
    std::string(1, '\0'), std::string(5000, 'a'), "\xff", ";", ",", "chunked", "identity", "0\r\n\r\n",
};

enum class End { more, done, bad };

/// What came of reading a message.
struct Reading {
    End end = End::more;
    MessageHead head;
    std::string body;
    bool chunked = false;
    std::optional<std::uint64_t> length;
};

/// Feeds `text` as a connection does: what has come is offered from where reading stopped.
template <bool is_request>
Reading read(const std::string& text, const std::vector<std::size_t>& cuts) {
    Reading reading;
    std::vector<boost::asio::const_buffer> pieces;
    HttpParser<is_request> parser(reading.head, pieces, kHeadBytesMax);
    std::size_t begin = 0;
    for (const std::size_t end : cuts) {
        while (reading.end == End::more && begin < end) {
            boost::beast::error_code error;
            const std::size_t used = parser.put(boost::asio::buffer(text.data() + begin, end - begin), error);
            REQUIRE(used <= end - begin);
            for (const auto& piece : pieces) {
                reading.body.append(static_cast<const char*>(piece.data()), piece.size());
            }
            pieces.clear();
            begin += used;
            if (parser.is_done()) reading.end = End::done;
            if (error == boost::beast::http::error::need_more) break;
            if (error) reading.end = End::bad;
            if (!error && used == 0) break;
        }
    }
    if (reading.end == End::done) {
        reading.chunked = parser.chunked();
        if (parser.content_length()) reading.length = *parser.content_length();
    }
    return reading;
}

/// The same with our own parser of answers. Behind interim answers the answer itself is read.
Reading read_answer(const std::string& text, const std::vector<std::size_t>& cuts, std::string_view* why) {
    Reading reading;
    ResponseParser parser;
    ResponseParser::Pieces pieces;
    std::size_t begin = 0;
    for (const std::size_t end : cuts) {
        while (begin < end && (parser.state() == ResponseParser::State::head ||
                               parser.state() == ResponseParser::State::body)) {
            const std::size_t used =
                parser.read(std::string_view(text).substr(begin, end - begin), pieces);
            REQUIRE(used <= end - begin);
            for (const std::string_view piece : pieces) reading.body += piece;
            pieces.clear();
            begin += used;
            if (used == 0) break;
        }
    }
    if (why != nullptr) *why = parser.error();
    if (parser.state() == ResponseParser::State::bad) reading.end = End::bad;
    const bool complete = parser.state() == ResponseParser::State::done ||
                          parser.state() == ResponseParser::State::interim;
    if (!complete) return reading;
    reading.end = End::done;
    reading.head.status = parser.status();
    reading.head.fields = parser.fields();
    reading.chunked = parser.fields().has("transfer-encoding");
    reading.length = parser.content_length();
    return reading;
}

/// Whether Beast takes what we refuse on purpose.
bool is_stricter(std::string_view why) {
    for (const std::string_view reason :
         {"Transfer-Encoding", "two Content-Length", "Content-Length is not a number", "status is below 100",
          "goes on in a second line", "field of its trailer", "status line", "size of a chunk",
          "does not begin with"}) {
        if (why.find(reason) != std::string_view::npos) return true;
    }
    return false;
}

/// Whether Beast refuses what we read over: no blank behind the status, blanks behind a chunk's size, an
/// extension of a chunk that is none, a trailer that Beast reads as fields of the head.
bool is_more_lenient(const std::string& text) {
    static const std::regex no_blank("^HTTP/1\\.[01] [0-9]{3}\r\n");
    static const std::regex odd_chunk("\r\n[0-9a-fA-F]+([ \t]|[ \t]*;)[^\n]*\r\n");
    static const std::regex last_chunk("\r\n0+[ \t]*(;[^\n]*)?\r\n[^\r]");
    return std::regex_search(text, no_blank) || std::regex_search(text, odd_chunk) ||
           std::regex_search(text, last_chunk);
}

/// What nobody may find in a head that was accepted.
void check_head(const Reading& reading) {
    const Fields& fields = reading.head.fields;
    std::optional<std::string_view> length;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        CHECK_FALSE(fields[i].name.empty());
        CHECK(fields[i].name.find_first_of(": \t\r\n") == std::string_view::npos);
        CHECK(fields[i].name.find('\0') == std::string_view::npos);
        CHECK(fields[i].value.find_first_of("\r\n") == std::string_view::npos);
        CHECK(fields[i].value.find('\0') == std::string_view::npos);
        if (!weir::router::same_name(fields[i].name, "content-length")) continue;
        // Two different ways to say where a message ends are how requests are smuggled.
        CHECK(length.value_or(fields[i].value) == fields[i].value);
        length = fields[i].value;
        CHECK_FALSE(reading.chunked);
    }
    if (reading.length && !reading.chunked) CHECK(reading.body.size() <= *reading.length);
    CHECK(reading.head.target.find_first_of(" \r\n") == std::string::npos);
}

void check_same(const Reading& whole, const Reading& cut) {
    // That a message is bad may show before it has all come.
    REQUIRE((whole.end == End::done) == (cut.end == End::done));
    if (whole.end != End::done) return;
    CHECK(whole.body == cut.body);
    CHECK(whole.head.method == cut.head.method);
    CHECK(whole.head.target == cut.head.target);
    CHECK(whole.head.status == cut.head.status);
    REQUIRE(whole.head.fields.size() == cut.head.fields.size());
    for (std::size_t i = 0; i < whole.head.fields.size(); ++i) {
        CHECK(whole.head.fields[i].name == cut.head.fields[i].name);
        CHECK(whole.head.fields[i].value == cut.head.fields[i].value);
    }
}

template <bool is_request>
void fuzz(Mutator mutator) {
    int done = 0;
    int bad = 0;
    for (int round = 0; round < fuzz_rounds(20'000); ++round) {
        const std::string text = mutator.next();
        INFO(text);
        const Reading whole = read<is_request>(text, {text.size()});
        check_same(whole, read<is_request>(text, mutator.cuts(text)));
        if (whole.end == End::done) check_head(whole);
        done += whole.end == End::done ? 1 : 0;
        bad += whole.end == End::bad ? 1 : 0;
    }
    CHECK(done > 1000);
    CHECK(bad > 1000);
}

}  // namespace

TEST_CASE("damaged requests are refused, or read alike in every cut") {
    fuzz<true>(Mutator(1, kRequests, kTokens));
}

TEST_CASE("damaged answers are refused, or read alike in every cut, as Beast reads them") {
    Mutator mutator(2, kResponses, kTokens);
    int done = 0;
    int bad = 0;
    int same = 0;
    for (int round = 0; round < fuzz_rounds(20'000); ++round) {
        const std::string text = mutator.next();
        INFO(text);
        std::string_view why;
        const Reading whole = read_answer(text, {text.size()}, &why);
        check_same(whole, read_answer(text, mutator.cuts(text), nullptr));
        if (whole.end == End::done) check_head(whole);
        done += whole.end == End::done ? 1 : 0;
        bad += whole.end == End::bad ? 1 : 0;

        Reading other = read<false>(text, {text.size()});
        if (other.head.status >= 600) other.head.status = 502;
        if (whole.end == End::done && other.end == End::done) {
            check_same(whole, other);
            ++same;
        } else if (whole.end == End::done) {
            CHECK(is_more_lenient(text));
        } else if (other.end == End::done) {
            INFO(why);
            CHECK(is_stricter(why));
        }
    }
    CHECK(done > 1000);
    CHECK(bad > 1000);
    CHECK(same > 1000);
}

TEST_CASE("the fake server reads damaged requests alike in every cut") {
    using weir::fake_server::RequestReader;
    using State = RequestReader::State;
    Mutator mutator(3, kRequests, kTokens);
    const auto feed = [](const std::string& text, const std::vector<std::size_t>& cuts) {
        RequestReader reader({kHeadBytesMax, 1u << 16});
        std::pair<State, std::string> result{State::more, {}};
        std::string pending;
        std::size_t begin = 0;
        for (const std::size_t end : cuts) {
            pending.append(text, begin, end - begin);
            begin = end;
            if (pending.empty() || result.first != State::more) continue;
            std::string_view rest = pending;
            result.first = reader.feed(rest);
            REQUIRE(rest.size() <= pending.size());
            pending.erase(0, pending.size() - rest.size());
        }
        if (result.first == State::complete) result.second = reader.request().target + reader.request().body;
        if (result.first == State::bad) CHECK_FALSE(reader.error().empty());
        return result;
    };
    int complete = 0;
    for (int round = 0; round < fuzz_rounds(20'000); ++round) {
        const std::string text = mutator.next();
        INFO(text);
        const auto whole = feed(text, {text.size()});
        const auto cut = feed(text, mutator.cuts(text));
        REQUIRE((cut.first == State::complete) == (whole.first == State::complete));
        CHECK(cut.second == whole.second);
        complete += whole.first == State::complete ? 1 : 0;
    }
    CHECK(complete > 1000);
}
