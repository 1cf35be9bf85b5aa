#include "fake_server/delivery.hpp"

#include <catch2/catch.hpp>

using namespace weir::fake_server;

namespace {

Answer plain(std::string body = "0123456789") {
    Answer answer;
    answer.body = std::move(body);
    return answer;
}

Answer stream() {
    Answer answer;
    answer.stream = true;
    answer.content_type = "text/event-stream";
    answer.events = {"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"};
    return answer;
}

Delivery delivered(const Answer& answer, const Step& step = {}, const Pace& pace = {},
                   const Request& request = {}) {
    Delivery delivery;
    deliver(answer, step, pace, request, delivery);
    return delivery;
}

std::string behind_head(const Delivery& delivery) {
    return delivery.wire.substr(delivery.wire.find("\r\n\r\n") + 4);
}

constexpr const char* kChunked =
    "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n9\r\ndata: 3\n\n\r\n0\r\n\r\n";

}  // namespace

TEST_CASE("A small answer is one write with its length") {
    const Delivery delivery = delivered(plain());
    CHECK(delivery.wire ==
          "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n"
          "server: weir-fake-server\r\n\r\n0123456789");
    CHECK(delivery.pauses.empty());
    CHECK(delivery.finish == Finish::keep);
    CHECK_FALSE(delivery.cut);
}

TEST_CASE("A stream is chunked, event by event") {
    const Delivery delivery = delivered(stream());
    CHECK(delivery.wire.find("transfer-encoding: chunked\r\n") != std::string::npos);
    CHECK(delivery.wire.find("content-length") == std::string::npos);
    CHECK(behind_head(delivery) == kChunked);
    CHECK(delivery.finish == Finish::keep);
}

TEST_CASE("An old client gets its stream until the connection closes") {
    Request request;
    request.version = 10;
    const Delivery delivery = delivered(stream(), {}, {}, request);
    CHECK(behind_head(delivery) == "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    CHECK(delivery.finish == Finish::close);
}

TEST_CASE("The end of the connection is announced") {
    Request request;
    request.keep_alive = false;
    const Delivery delivery = delivered(plain(), {}, {}, request);
    CHECK(delivery.wire.find("connection: close\r\n") != std::string::npos);
    CHECK(delivery.finish == Finish::close);
}

TEST_CASE("Unless the script wants the connection closed without a word") {
    Step step;
    step.close_idle_connection = true;
    const Delivery delivery = delivered(plain(), step);
    CHECK(delivery.wire == delivered(plain()).wire);
    CHECK(delivery.finish == Finish::close);
    CHECK_FALSE(delivery.cut);
    step.reset = true;
    CHECK(delivered(plain(), step).finish == Finish::reset);
}

TEST_CASE("HEAD and bodyless answers have no body") {
    Request request;
    request.method = "HEAD";
    CHECK(behind_head(delivered(plain(), {}, {}, request)).empty());
    Answer empty = plain();
    empty.status = 204;
    CHECK(behind_head(delivered(empty)).empty());
    CHECK(delivered(empty).wire.find("content-length") == std::string::npos);
}

TEST_CASE("Scripted headers are added, and take the place of the server's own") {
    Step step;
    step.headers = {{"Content-Type", "text/plain"}, {"retry-after", "2"}};
    const std::string wire = delivered(plain(), step).wire;
    CHECK(wire.find("Content-Type: text/plain\r\n") != std::string::npos);
    CHECK(wire.find("application/json") == std::string::npos);
    CHECK(wire.find("retry-after: 2\r\n") != std::string::npos);
}

TEST_CASE("An answer is cut at every byte of its body") {
    for (std::size_t bytes = 0; bytes < 10; ++bytes) {
        Step step;
        step.cut_after_bytes = bytes;
        const Delivery delivery = delivered(plain(), step);
        CHECK(behind_head(delivery) == std::string("0123456789").substr(0, bytes));
        CHECK(delivery.cut);
        CHECK(delivery.finish == Finish::close);
    }
    Step whole;
    whole.cut_after_bytes = 10;
    CHECK_FALSE(delivered(plain(), whole).cut);
}

TEST_CASE("A stream is cut between its events") {
    for (std::size_t events = 0; events < 3; ++events) {
        Step step;
        step.cut_after_events = events;
        step.reset = true;
        const Delivery delivery = delivered(stream(), step);
        CHECK(behind_head(delivery) == std::string(kChunked).substr(0, events * 14));
        CHECK(delivery.cut);
        CHECK(delivery.finish == Finish::reset);
    }
}

TEST_CASE("Closing before the answer sends nothing") {
    Step step;
    step.close_before_response = true;
    step.stall_ns = 5;
    const Delivery delivery = delivered(plain(), step);
    CHECK(delivery.wire.empty());
    CHECK(delivery.cut);
    CHECK(delivery.finish == Finish::close);
    REQUIRE(delivery.pauses.size() == 1);
    CHECK(delivery.pauses[0].ns == 5);
}

TEST_CASE("Latency comes before the first byte and delays between events") {
    Step step;
    step.stall_ns = 10;
    step.event_delay_ns = 3;
    const Delivery delivery = delivered(stream(), step, {.latency_ns = 100, .event_delay_ns = 4});
    const std::size_t body = delivery.wire.find("\r\n\r\n") + 4;
    REQUIRE(delivery.pauses.size() == 3);
    CHECK(delivery.pauses[0].before == 0);
    CHECK(delivery.pauses[0].ns == 110);
    CHECK(delivery.pauses[1].before == body + 14);
    CHECK(delivery.pauses[1].ns == 7);
    CHECK(delivery.pauses[2].before == body + 28);
}

TEST_CASE("Dribbling pauses at every piece, in order with the other pauses") {
    Step step;
    step.chunk_bytes = 50;
    step.chunk_delay_ns = 1;
    const Delivery delivery = delivered(stream(), step, {.latency_ns = 0, .event_delay_ns = 9});
    std::size_t pieces = 0;
    std::size_t at = 0;
    for (const Pause& pause : delivery.pauses) {
        CHECK(pause.before >= at);
        at = pause.before;
        pieces += pause.ns == 1 ? 1 : 0;
    }
    CHECK(pieces == (delivery.wire.size() - 1) / 50);
    CHECK(delivery.pauses.size() == pieces + 2);
}

TEST_CASE("Malformed answers are malformed in the way they say") {
    Step step;
    step.malformed = Malformed::json;
    CHECK(behind_head(delivered(plain(), step)) == "01234");
    CHECK(delivered(plain(), step).wire.find("content-length: 5\r\n") != std::string::npos);
    CHECK_FALSE(delivered(plain(), step).cut);
    step.malformed = Malformed::length;
    CHECK(delivered(plain(), step).wire.find("content-length: 26\r\n") != std::string::npos);
    CHECK(delivered(plain(), step).finish == Finish::close);
    step.malformed = Malformed::http;
    CHECK(delivered(plain(), step).wire.starts_with("HTTQ/1.1 200"));
    step.malformed = Malformed::chunk;
    CHECK(behind_head(delivered(plain(), step)) == "a\r\n0123456789\r\nzz\r\n");
}

TEST_CASE("Raw bytes are sent as they are") {
    Step step;
    step.raw = "anything";
    const Delivery delivery = delivered(plain(), step);
    CHECK(delivery.wire == "anything");
    CHECK(delivery.finish == Finish::keep);
}
