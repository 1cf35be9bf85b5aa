#include "loadtest/client.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/raw_client.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/wait.hpp"
#include "tests/wire/fake_server/running.hpp"
#include "tests/wire/loadtest/awaited.hpp"

using namespace weir::loadtest;
using namespace weir::loadtest::test;
using namespace std::chrono_literals;
using weir::fake_server::test::Running;
using weir::test::fetch;
using Json = nlohmann::json;

namespace {

constexpr const char* kQuestion = R"({"model":"m"})";

weir::router::Url url_of(std::uint16_t port, const std::string& path = {}) {
    weir::router::Url url;
    url.host = "127.0.0.1";
    url.port = port;
    url.path = path;
    return url;
}

/// A client of a fake server that does as it is told.
struct Fixture {
    Running server;
    asio::io_context io{1};
    Client client{io, url_of(server.port()), "sk-1234", 10s};

    Outcome after(const Json& step) {
        REQUIRE(fetch(server.port(), "POST", "/__script", Json::array({step}).dump()).status == 200);
        return ask();
    }
    Outcome ask() { return result_of(io, client.post("/chat/completions", kQuestion)).outcome; }

    /// The connections over which questions came, in their order.
    std::vector<int> connections() const {
        std::vector<int> numbers;
        const Json ledger = Json::parse(fetch(server.port(), "GET", "/__ledger").body);
        for (const Json& arrival : ledger["arrivals"]) numbers.push_back(arrival["connection"]);
        return numbers;
    }
};

}  // namespace

TEST_CASE("an answer's status decides what became of the request") {
    Fixture fixture;
    CHECK(fixture.after(Json::object()) == Outcome::success);
    CHECK(fixture.after({{"status", 429}}) == Outcome::refused);
    CHECK(fixture.after({{"status", 401}}) == Outcome::unauthorized);
    CHECK(fixture.after({{"status", 404}}) == Outcome::client_error);
    CHECK(fixture.after({{"status", 503}}) == Outcome::server_error);
}

TEST_CASE("what is sent has the key, the host and the body, below the address's path") {
    Running server;
    asio::io_context io(1);
    Client client(io, url_of(server.port(), "/v1"), "sk-1234", 10s);
    const Answer answer = result_of(io, client.post("/chat/completions", kQuestion));
    CHECK(answer.status == 200);
    CHECK(Json::parse(answer.body)["id"] == "chatcmpl-123");
    const Json seen = Json::parse(fetch(server.port(), "GET", "/__last").body);
    CHECK(seen["method"] == "POST");
    CHECK(seen["target"] == "/v1/chat/completions");
    CHECK(seen["body"] == kQuestion);
    const std::string text = seen.dump();
    CHECK(text.find("Bearer sk-1234") != std::string::npos);
    CHECK(text.find("127.0.0.1:" + std::to_string(server.port())) != std::string::npos);
    CHECK(text.find("application/json") != std::string::npos);
}

TEST_CASE("requests one after the other share a connection, those at once do not") {
    Fixture fixture;
    fixture.ask();
    fixture.ask();
    CHECK(fixture.connections() == std::vector<int>(2, fixture.connections()[0]));
    std::vector<Task<Answer>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(fixture.client.post("/chat/completions", kQuestion));
    for (const Answer& answer : all_of(fixture.io, std::move(tasks))) CHECK(answer.status == 200);
    const auto numbers = fixture.connections();
    CHECK(std::set<int>(numbers.begin() + 2, numbers.end()).size() == 5);
}

TEST_CASE("a connection that the server has closed meanwhile is not used again") {
    Fixture fixture;
    CHECK(fixture.after({{"close_idle_connection", true}}) == Outcome::success);
    // The end of the connection is on its way; the next request must not be lost to it.
    const auto is_over = [&] {
        const Json ledger = Json::parse(fetch(fixture.server.port(), "GET", "/__ledger").body);
        return ledger["arrivals"][0]["end"] == "complete";
    };
    REQUIRE(weir::test::wait_until(is_over));
    CHECK(fixture.ask() == Outcome::success);
    const auto numbers = fixture.connections();
    CHECK(numbers[0] != numbers[1]);
}

TEST_CASE("what breaks off is told from what makes no sense") {
    Fixture fixture;
    CHECK(fixture.after({{"close_before_response", true}}) == Outcome::connection_lost);
    CHECK(fixture.after({{"close_before_response", true}, {"reset", true}}) == Outcome::connection_lost);
    CHECK(fixture.after({{"cut_after_bytes", 10}}) == Outcome::connection_lost);
    CHECK(fixture.after({{"malformed", "http"}}) == Outcome::odd_answer);
    CHECK(fixture.ask() == Outcome::success);
}

TEST_CASE("an answer that does not come in time is a timeout") {
    Running server;
    asio::io_context io(1);
    Client hasty(io, url_of(server.port()), "", 50ms);
    REQUIRE(fetch(server.port(), "POST", "/__script", R"([{"stall_ms":60000}])").status == 200);
    CHECK(result_of(io, hasty.post("/chat/completions", kQuestion)).outcome == Outcome::timeout);
    CHECK(result_of(io, hasty.post("/chat/completions", kQuestion)).outcome == Outcome::success);
}

TEST_CASE("nobody listening is told from everything that came later") {
    asio::io_context io(1);
    Client client(io, url_of(weir::test::free_ports(1)[0]), "", 10s);
    const Answer answer = result_of(io, client.get("/"));
    CHECK(answer.outcome == Outcome::connect_failed);
    CHECK(answer.status == 0);
}

TEST_CASE("TLS and hosts without an address are refused at the start") {
    asio::io_context io(1);
    weir::router::Url tls = url_of(1);
    tls.tls = true;
    CHECK_THROWS_WITH(Client(io, tls, "", 1s), "https is not supported by the load test");
    weir::router::Url nowhere = url_of(1);
    nowhere.host = "nowhere.invalid";
    CHECK_THROWS_WITH(Client(io, nowhere, "", 1s),
                      Catch::StartsWith("cannot find the host \"nowhere.invalid\""));
}
