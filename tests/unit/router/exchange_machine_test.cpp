// What happens on a connection to an upstream, event by event, and what is to be done about it.
#include "router/exchange_machine.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using weir::router::ExchangeMachine;
using weir::router::TransportError;
using Action = ExchangeMachine::Action;
using End = ExchangeMachine::End;
using namespace std::chrono_literals;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const std::string kRefused = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}";
const std::string kHint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
const std::string kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
const std::string kTimeout = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A machine with the buffer of its connection.
struct Line {
    explicit Line(bool reused = false) { machine.begin(reused); }

    Action receive(const std::string& bytes) {
        unread += bytes;
        const std::size_t used = machine.received(unread);
        for (const std::string_view piece : machine.pieces()) body += piece;
        unread.erase(0, used);
        return machine.action();
    }
    /// As a driver does: asks for more only while there is nothing to hand on.
    Action receive_cut(const std::string& bytes, std::size_t cut) {
        receive(bytes.substr(0, cut));
        if (machine.action() == Action::hand_on && machine.answer().head_done() && !machine.done()) {
            machine.handed_on();
        }
        return cut < bytes.size() ? receive(bytes.substr(cut)) : machine.action();
    }
    Action written(bool whole = true) {
        machine.written(whole);
        return machine.action();
    }
    Action end(End how) {
        machine.ended(how);
        return machine.action();
    }
    bool reusable() const { return machine.reusable(unread.size()); }

    ExchangeMachine machine;
    std::string unread;
    std::string body;
};

}  // namespace

TEST_CASE("a request is written, an answer is read, and the connection serves again") {
    Line line;
    CHECK(line.machine.action() == Action::read);
    CHECK(line.written() == Action::read);
    CHECK(line.receive(kOk) == Action::hand_on);
    CHECK(line.body == "{}");
    CHECK(line.machine.done());
    CHECK(line.reusable());
    line.machine.begin(true);
    CHECK(line.machine.action() == Action::read);
    CHECK_FALSE(line.machine.done());
    CHECK_FALSE(line.reusable());
}

TEST_CASE("the head is handed on when it is there, then every piece, then the end") {
    Line line;
    line.written();
    CHECK(line.receive("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n") == Action::hand_on);
    line.machine.handed_on();
    CHECK(line.machine.action() == Action::read);
    CHECK(line.receive("ab") == Action::hand_on);
    line.machine.handed_on();
    CHECK(line.machine.action() == Action::read);
    CHECK(line.receive("cd") == Action::hand_on);
    CHECK(line.machine.done());
    CHECK(line.body == "abcd");
}

TEST_CASE("interim answers are read over, wherever they are cut") {
    for (const std::string& interim : {kContinue, kHint, kHint + kContinue, kContinue + kContinue + kHint}) {
        const std::string text = interim + kOk;
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            INFO(text.substr(0, cut) << "|" << text.substr(cut));
            Line line;
            line.written();
            CHECK(line.receive_cut(text, cut) == Action::hand_on);
            CHECK(line.machine.done());
            CHECK(line.machine.answer().status() == 200);
            CHECK_FALSE(line.machine.answer().fields().has("link"));
            CHECK(line.body == "{}");
            CHECK(line.reusable());
        }
    }
}

TEST_CASE("interim answers without end, and a switch of protocols, are refused") {
    Line many;
    many.written();
    std::string text;
    for (int i = 0; i < ExchangeMachine::kInterimMax; ++i) text += "HTTP/1.1 102\r\n\r\n";
    CHECK(many.receive(text) == Action::read);
    CHECK(many.receive("HTTP/1.1 102\r\n\r\n") == Action::give_up);
    CHECK(many.machine.error() == TransportError::malformed);
    CHECK(std::string(many.machine.reason()).find("interim") != std::string::npos);

    Line large;
    large.written();
    const std::string hint = "HTTP/1.1 103\r\nlink: " + std::string(2000, 'a') + "\r\n\r\n";
    Action action = Action::read;
    for (int i = 0; i < 40 && action == Action::read; ++i) action = large.receive(hint);
    CHECK(action == Action::give_up);
    CHECK(large.machine.error() == TransportError::malformed);

    Line other;
    other.written();
    CHECK(other.receive("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n") == Action::give_up);
    CHECK(other.machine.error() == TransportError::malformed);
    CHECK(std::string(other.machine.reason()).find("protocol") != std::string::npos);
}

TEST_CASE("an answer that refuses a request while it is written ends the writing, and the connection") {
    for (const char* status : {"413", "401", "429", "503", "307", "400"}) {
        INFO(status);
        Line line;
        CHECK(line.receive(std::string("HTTP/1.1 ") + status + " x\r\ncontent-length: 2\r\n\r\n") ==
              Action::stop_writing);
        CHECK(line.written(false) == Action::hand_on);
        line.machine.handed_on();
        CHECK(line.receive("{}") == Action::hand_on);
        CHECK(line.body == "{}");
        CHECK_FALSE(line.reusable());
    }
}

TEST_CASE("where there is no answer to come the rest of a request is not sent") {
    Line line;
    CHECK(line.end(End::closed) == Action::stop_writing);
    CHECK(line.written(false) == Action::give_up);
    CHECK(line.machine.error() == TransportError::closed);
}

TEST_CASE("an answer that accepts a request while it is written waits for that") {
    Line line;
    CHECK(line.receive(kOk) == Action::finish_writing);
    CHECK(line.written() == Action::hand_on);
    CHECK(line.body == "{}");
    CHECK(line.reusable());
    Line broken;
    CHECK(broken.receive(kOk) == Action::finish_writing);
    CHECK(broken.written(false) == Action::hand_on);
    CHECK_FALSE(broken.reusable());
}

TEST_CASE("100 Continue while the request is written changes nothing") {
    Line line;
    CHECK(line.receive(kContinue) == Action::read);
    CHECK(line.written() == Action::read);
    CHECK(line.receive(kOk) == Action::hand_on);
    CHECK(line.reusable());
}

TEST_CASE("an upstream that takes no more of the request is still heard") {
    Line line;
    CHECK(line.written(false) == Action::read);
    CHECK(line.receive(kRefused) == Action::hand_on);
    CHECK(line.machine.answer().status() == 413);
    CHECK_FALSE(line.reusable());
}

TEST_CASE("what stands behind an answer makes its connection useless") {
    const std::vector<std::string> answers = {
        kOk, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"};
    for (const std::string& answer : answers) {
        for (const std::string& behind : {kOk, kTimeout, std::string("null"), std::string("\r\n")}) {
            INFO(answer << behind);
            Line line;
            line.written();
            CHECK(line.receive(answer + behind) == Action::hand_on);
            CHECK(line.machine.done());
            CHECK(line.unread == behind);
            CHECK_FALSE(line.reusable());
        }
    }
}

TEST_CASE("how a connection ends says what has failed") {
    struct Case {
        std::string received;
        End how;
        TransportError error;
    };
    const std::string head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
    const std::string open = "HTTP/1.1 200 OK\r\n\r\nab";
    const std::vector<Case> cases = {
        {"", End::closed, TransportError::closed},
        {"", End::broken, TransportError::closed},
        {"", End::overdue, TransportError::first_byte_timeout},
        {"HTTP", End::closed, TransportError::broken},
        {"HTTP", End::overdue, TransportError::first_byte_timeout},
        {kContinue, End::closed, TransportError::broken},
        {kContinue, End::overdue, TransportError::first_byte_timeout},
        {head + "a", End::closed, TransportError::broken},
        {head + "a", End::overdue, TransportError::stalled},
        {open, End::closed, TransportError::none},
        {open, End::broken, TransportError::broken},
        {open, End::overdue, TransportError::stalled},
        {"HTTP", End::full, TransportError::malformed},
    };
    for (const Case& one : cases) {
        for (const bool whole : {true, false}) {
            INFO(one.received << " then " << static_cast<int>(one.how));
            Line line;
            if (whole) line.written();
            line.receive(one.received);
            if (line.machine.answer().head_done() && whole) line.machine.handed_on();
            line.end(one.how);
            CHECK(line.machine.error() == one.error);
            CHECK_FALSE(line.reusable());
        }
    }
}

TEST_CASE("a request may be sent again only if its connection was dead before it could arrive") {
    struct Case {
        bool reused;
        std::string received;
        weir::shm::Nanos since;
        weir::shm::Nanos round_trip;
        bool dead;
    };
    const std::vector<Case> cases = {
        {true, "", 0ms, 0ms, true},
        {true, "", 5ms, 0ms, true},      // at once
        {true, "", 6ms, 0ms, false},     // it died at work
        {true, "", 60ms, 60ms, true},    // what we sent had hardly arrived
        {true, "", 300ms, 60ms, false},
        {false, "", 0ms, 0ms, false},    // nobody gives up a new connection for idleness
        {true, "H", 0ms, 0ms, false},    // it has answered
        {true, kContinue, 0ms, 0ms, false},
        {true, kTimeout, 1ms, 0ms, true},  // of a load balancer that has not seen the request
        {true, kTimeout, 300ms, 0ms, false},
        {false, kTimeout, 1ms, 0ms, false},
        {true, "HTTP/1.1 408 x\r\ncontent-length: 0\r\n\r\n", 1ms, 0ms, false},  // it stays open: an answer
        {true, "HTTP/1.1 503 x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", 1ms, 0ms, false},
    };
    for (const Case& one : cases) {
        INFO(one.reused << " " << one.received << " after " << one.since.count() << " ns");
        Line line(one.reused);
        line.written();
        line.receive(one.received);
        if (!line.machine.answer().head_done()) line.end(End::closed);
        line.machine.settle_dead(one.since, one.round_trip);
        CHECK(line.machine.was_dead() == one.dead);
        if (one.dead) CHECK(line.machine.error() == TransportError::closed);
    }
}

TEST_CASE("a request that is late is not a dead connection's") {
    Line line(true);
    line.written();
    line.end(End::overdue);
    CHECK_FALSE(line.machine.may_have_been_dead());
    line.machine.settle_dead(0ms, 0ms);
    CHECK(line.machine.error() == TransportError::first_byte_timeout);
}

TEST_CASE("a lack of memory of our own is not the upstream's failure") {
    Line line(true);
    line.written(false);
    line.machine.ran_short();
    CHECK(line.machine.action() == Action::give_up);
    CHECK(line.machine.error() == TransportError::out_of_resources);
    CHECK_FALSE(line.machine.may_have_been_dead());
}

TEST_CASE("what is wrong with an answer is said") {
    Line line;
    line.written();
    CHECK(line.receive("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n") == Action::give_up);
    CHECK(line.machine.error() == TransportError::malformed);
    CHECK(std::string(line.machine.reason()).find("Transfer-Encoding") != std::string::npos);
    CHECK(line.machine.pieces().empty());
}
