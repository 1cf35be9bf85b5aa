#include "proxy/access_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::proxy;
using namespace std::chrono_literals;

namespace {

Served served() {
    Served served;
    served.method = "POST";
    served.target = "/v1/chat/completions";
    served.status = 200;
    served.request_id = "id-1";
    served.key = "app";
    served.model = "fast";
    served.group = "gpt";
    served.deployment = "gpt-1";
    served.bytes_in = 10;
    served.bytes_out = 20;
    served.duration = 1500us;
    served.upstream = 1ms;
    return served;
}

constexpr weir::shm::Nanos kTime =
    std::chrono::seconds(1'700'000'000) + std::chrono::milliseconds(7);

}  // namespace

TEST_CASE("a line of text says what was served") {
    CHECK(text_line(served(), kTime) ==
          "2023-11-14T22:13:20.007Z id-1 \"POST /v1/chat/completions\" 200 key=app model=fast "
          "deployment=gpt-1 "
          "in=10 out=20 ms=1.50 upstream_ms=1.00");
    Served more = served();
    more.retries = 2;
    more.fallbacks = 1;
    more.refused = true;
    more.key = {};
    more.usage = weir::router::Usage{};
    more.usage->prompt_tokens = 3;
    more.usage->completion_tokens = 4;
    const std::string line = text_line(more, kTime);
    CHECK(line.find(" key=- ") != std::string::npos);
    CHECK(line.find(" retries=2 fallbacks=1 tokens=3+4 refused") != std::string::npos);
}

TEST_CASE("a line of JSON is one, and says the same") {
    Served more = served();
    more.usage = weir::router::Usage{};
    more.usage->total_tokens = 7;
    const auto json = nlohmann::json::parse(json_line(more, kTime));
    CHECK(json["time"] == "2023-11-14T22:13:20.007Z");
    CHECK(json["request_id"] == "id-1");
    CHECK(json["status"] == 200);
    CHECK(json["key"] == "app");
    CHECK(json["group"] == "gpt");
    CHECK(json["duration_ms"] == 1.5);
    CHECK(json["total_tokens"] == 7);
    CHECK(json["refused"] == false);
    CHECK_FALSE(nlohmann::json::parse(json_line(served(), kTime)).contains("total_tokens"));
}

TEST_CASE("a client cannot write lines of its own") {
    Served evil = served();
    const std::string target = "/a\r\nfake \x1b[31m\"" + std::string(5000, 'x');
    evil.target = target;
    evil.model = "m\nn";
    const std::string text = text_line(evil, kTime);
    CHECK(text.find_first_of("\r\n\x1b") == std::string::npos);
    CHECK(text.size() < 600);
    const std::string json = json_line(evil, kTime);
    CHECK(json.find_first_of("\r\n\x1b") == std::string::npos);
    CHECK(nlohmann::json::parse(json)["model"] == "m\nn");
}

TEST_CASE("lines are gathered until they are asked for, and none is lost at the end") {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    const auto read = [&] {
        std::string text(1u << 16, '\0');
        const auto got = ::read(pipe[0], text.data(), text.size());
        return got > 0 ? text.substr(0, static_cast<std::size_t>(got)) : std::string();
    };
    {
        AccessLog log(LogFormat::text, pipe[1]);
        log.add(served(), kTime);
        CHECK(read().empty());
        log.flush();
        CHECK(read() == text_line(served(), kTime) + "\n");
        log.add(served(), kTime);
    }
    CHECK(read() == text_line(served(), kTime) + "\n");
    AccessLog off(LogFormat::off, pipe[1]);
    off.add(served(), kTime);
    off.flush();
    CHECK(read().empty());
    CHECK_FALSE(off.on());
    // A reader that does not read must not stop the service.
    AccessLog full(LogFormat::json, pipe[1]);
    for (int i = 0; i < 2000; ++i) full.add(served(), kTime);
    full.flush();
    ::close(pipe[0]);
    ::close(pipe[1]);
}
