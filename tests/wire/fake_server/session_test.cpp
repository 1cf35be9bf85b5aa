// A connection to the fake server over real sockets: what a client's bytes meet, not what they mean.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

#include "tests/support/loopback.hpp"
#include "tests/wire/fake_server/running.hpp"

using namespace weir::fake_server;
using weir::fake_server::test::Running;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

// A blocking client that gives up after five seconds.
class Client {
 public:
    explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        weir::test::set_patience(fd_, 5);
        REQUIRE(weir::test::connect_to(fd_, port));
    }
    ~Client() { leave(); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void leave() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    void half_close() { ::shutdown(fd_, SHUT_WR); }

    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            REQUIRE(sent > 0);
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    void ask(const std::string& method, const std::string& target, const std::string& body,
             const std::string& lines = {}) {
        send(method + ' ' + target + " HTTP/1.1\r\nhost: x\r\ncontent-length: " +
             std::to_string(body.size()) + "\r\n" + lines + "\r\n" + body);
    }

    // Reads until `count` bytes are there, or the end.
    std::string read(std::size_t count) {
        std::array<char, 4096> buffer{};
        while (pending_.size() < count) {
            const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
            if (got < 0) error_ = errno;
            if (got <= 0) break;
            pending_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        std::string taken = pending_.substr(0, count);
        pending_.erase(0, taken.size());
        return taken;
    }
    std::string read_all() { return read(std::string::npos); }

    std::string read_head() {
        std::string head;
        while (!head.ends_with("\r\n\r\n")) {
            const std::string byte = read(1);
            REQUIRE(!byte.empty());
            head += byte;
        }
        return head;
    }

    // One answer with a length.
    std::pair<std::string, std::string> answer() {
        const std::string head = read_head();
        const std::size_t at = head.find("content-length: ");
        REQUIRE(at != std::string::npos);
        return {head, read(std::stoul(head.substr(at + 16)))};
    }

    int error() const { return error_; }

 private:
    int fd_;
    std::string pending_;
    int error_ = 0;
};

Json ask_own(std::uint16_t port, const std::string& method, const std::string& target,
             const std::string& body = {}) {
    Client client(port);
    client.ask(method, target, body);
    return Json::parse(client.answer().second);
}

void load_script(std::uint16_t port, const std::string& steps) {
    REQUIRE(ask_own(port, "POST", "/__script", steps).contains("remaining"));
}

// Asks the ledger again and again until the last arrival has ended.
Json ended_arrival(std::uint16_t port) {
    const auto patience = Clock::now() + std::chrono::seconds(5);
    Json arrival;
    do {
        const Json ledger = ask_own(port, "GET", "/__ledger");
        if (ledger["arrivals"].empty()) continue;
        arrival = ledger["arrivals"].back();
        if (arrival["end"] != "running") break;
    } while (Clock::now() < patience);
    return arrival;
}

constexpr const char* kQuestion = R"({"model":"gpt"})";
constexpr const char* kStreamed = R"({"model":"gpt","stream":true})";

}  // namespace

TEST_CASE("Many questions over one connection, also without waiting for the answers") {
    Running running;
    Client client(running.port());
    for (int i = 0; i < 3; ++i) {
        client.ask("POST", "/v1/chat/completions", kQuestion);
        CHECK(client.answer().first.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    for (int i = 0; i < 5; ++i) client.ask("POST", "/chat/completions", kQuestion);
    for (int i = 0; i < 5; ++i) CHECK(client.answer().second.starts_with(R"({"id":"chatcmpl-)"));
    const Json ledger = ask_own(running.port(), "GET", "/__ledger");
    REQUIRE(ledger["arrivals"].size() == 8);
    for (const Json& arrival : ledger["arrivals"]) {
        CHECK(arrival["connection"] == 1);
        CHECK(arrival["remote"] == "127.0.0.1");
        CHECK(arrival["end"] == "complete");
    }
}

TEST_CASE("A body in single bytes, in chunks, and after leave to send it") {
    Running running;
    Client client(running.port());
    for (const char byte : std::string("POST /__echo HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")) {
        client.send({&byte, 1});
    }
    CHECK(Json::parse(client.answer().second)["body"] == "abc");
    client.send("POST /__echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n");
    CHECK(Json::parse(client.answer().second)["body"] == "de");
    client.send("POST /__echo HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    CHECK(client.read_head() == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("fg");
    CHECK(Json::parse(client.answer().second)["body"] == "fg");
}

TEST_CASE("A large body arrives whole") {
    Running running;
    Client client(running.port());
    std::string body(3'000'000, 'x');
    for (std::size_t i = 0; i < body.size(); i += 997) body[i] = 'y';
    client.ask("POST", "/__echo", body);
    const Json echo = Json::parse(client.answer().second);
    CHECK(echo["body"].get<std::string>() == body);
}

TEST_CASE("Bytes that are no request get an answer and the end of the connection") {
    Running running;
    Client client(running.port());
    client.send("what is this\r\n\r\n");
    const std::string answer = client.read_all();
    CHECK(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(answer.find("connection: close\r\n") != std::string::npos);
    CHECK(client.error() == 0);
}

TEST_CASE("A client that closes its sending side still gets its answer") {
    Running running;
    Client client(running.port());
    client.ask("POST", "/chat/completions", kQuestion);
    client.half_close();
    CHECK(client.read_all().find("chatcmpl-123") != std::string::npos);
}

TEST_CASE("A stream comes event by event") {
    Running running;
    Client client(running.port());
    load_script(running.port(), R"([{"event_delay_ms":5}])");
    const auto begin = Clock::now();
    client.ask("POST", "/chat/completions", kStreamed);
    CHECK(client.read_head().find("transfer-encoding: chunked\r\n") != std::string::npos);
    std::string all;
    while (all.find("0\r\n\r\n") == std::string::npos) {
        const std::string more = client.read(1);
        REQUIRE(!more.empty());
        all += more;
    }
    CHECK(all.find("data: [DONE]\n\n") != std::string::npos);
    CHECK(Clock::now() - begin >= std::chrono::milliseconds(14 * 5));
    client.ask("POST", "/chat/completions", kQuestion);
    CHECK(client.answer().first.starts_with("HTTP/1.1 200"));
}

TEST_CASE("A stream cut in the middle ends the connection, by FIN or by RST") {
    Running running;
    const bool reset = GENERATE(false, true);
    load_script(running.port(), reset ? R"([{"cut_after_events":2,"reset":true,"stall_ms":1}])"
                                      : R"([{"cut_after_events":2}])");
    Client client(running.port());
    client.ask("POST", "/chat/completions", kStreamed);
    const std::string all = client.read_all();
    CHECK(all.find("[DONE]") == std::string::npos);
    CHECK(client.error() == (reset ? ECONNRESET : 0));
    if (!reset) CHECK(all.find("Hello") != std::string::npos);
    CHECK(ended_arrival(running.port())["end"] == "cut");
}

TEST_CASE("Closing without an answer, and after one without a word") {
    Running running;
    load_script(running.port(),
                R"([{"close_before_response":true},{"close_idle_connection":true}])");
    Client first(running.port());
    first.ask("POST", "/chat/completions", kQuestion);
    CHECK(first.read_all().empty());
    Client second(running.port());
    second.ask("POST", "/chat/completions", kQuestion);
    CHECK(second.answer().first.find("close") == std::string::npos);
    CHECK(second.read_all().empty());
    const Json arrivals = ask_own(running.port(), "GET", "/__ledger")["arrivals"];
    CHECK(arrivals[0]["status"] == 0);
    CHECK(arrivals[0]["verdict"] == "failed");
    CHECK(arrivals[0]["end"] == "cut");
    CHECK(arrivals[1]["end"] == "complete");
}

TEST_CASE("A client that leaves during a stall is noticed at once") {
    Running running;
    load_script(running.port(), R"([{"stall_ms":60000}])");
    Client client(running.port());
    client.ask("POST", "/chat/completions", kQuestion);
    while (ask_own(running.port(), "GET", "/__ledger")["arrivals"].empty()) continue;
    client.leave();
    CHECK(ended_arrival(running.port())["end"] == "client_gone");
}

TEST_CASE("A client that sends on during a stall is not taken for gone") {
    Running running;
    load_script(running.port(), R"([{"stall_ms":50}])");
    Client client(running.port());
    client.ask("POST", "/chat/completions", kQuestion);
    client.ask("POST", "/chat/completions", kQuestion);
    CHECK(client.answer().first.starts_with("HTTP/1.1 200"));
    CHECK(client.answer().first.starts_with("HTTP/1.1 200"));
}

TEST_CASE("A dribbled answer is whole in the end") {
    Running running;
    load_script(running.port(), R"([{"chunk_bytes":7,"chunk_delay_ms":0.1}])");
    Client client(running.port());
    client.ask("POST", "/chat/completions", kQuestion);
    CHECK(Json::parse(client.answer().second)["usage"]["total_tokens"] == 21);
}
