// An upstream for tests: the fake server on a free port, served by a thread of its own, played by a
// script and asked for its ledger over its own interface.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "fake_server/server.hpp"
#include "tests/support/loopback.hpp"

namespace weir::test {

/// One request over a connection of its own; the answer's body. Throws if there is none in 10 s.
inline std::string http(std::uint16_t port, std::string_view method, std::string_view target,
                        std::string_view body = {}) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    set_patience(fd, 10);
    std::string request;
    request.append(method).append(" ").append(target).append(" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    request.append("content-length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
    std::string answer;
    if (connect_to(fd, port) &&
        ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(request.size())) {
        std::array<char, 16384> buffer{};
        for (ssize_t got = 0; (got = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
            answer.append(buffer.data(), static_cast<std::size_t>(got));
        }
    }
    ::close(fd);
    const auto head = answer.find("\r\n\r\n");
    if (head == std::string::npos) throw std::runtime_error("no answer from the fake server");
    return answer.substr(head + 4);
}

/// A scripted upstream; ends with the test.
class FakeUpstream {
 public:
    /// Without a limit of its own unless `options` say so; `options.port` does not matter.
    explicit FakeUpstream(fake_server::ServerOptions options = unlimited())
        : server_(any_port(std::move(options))),
          port_(server_.port()),
          thread_([this] { server_.run(); }) {}
    ~FakeUpstream() {
        server_.stop();
        server_.stop();  // also what is still under way after a test that failed
        thread_.join();
    }
    FakeUpstream(const FakeUpstream&) = delete;
    FakeUpstream& operator=(const FakeUpstream&) = delete;

    static fake_server::ServerOptions unlimited() {
        fake_server::ServerOptions options;
        options.desk.window.requests_max = 0;
        return options;
    }

    std::uint16_t port() const noexcept { return port_; }
    std::string base() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

    /// The next answers, as docs/fake-server.md describes them: a list of steps.
    void play(std::string_view steps) const {
        const auto answer = nlohmann::json::parse(http(port_, "POST", "/__script", steps));
        if (!answer.contains("remaining")) throw std::runtime_error(answer.dump());
    }

    /// All that has arrived: {"summary": …, "arrivals": […]}.
    nlohmann::json ledger() const { return nlohmann::json::parse(http(port_, "GET", "/__ledger")); }
    std::size_t arrivals() const { return ledger().at("arrivals").size(); }

    /// The latest request to a model, with head and body as they came.
    nlohmann::json last() const { return nlohmann::json::parse(http(port_, "GET", "/__last")); }

 private:
    static fake_server::ServerOptions any_port(fake_server::ServerOptions options) {
        options.port = 0;
        return options;
    }

    fake_server::Server server_;
    std::uint16_t port_;
    std::thread thread_;
};

}  // namespace weir::test
