// A fake server within the test's own process.
#pragma once

#include <cstdint>
#include <thread>
#include <utility>

#include "fake_server/server.hpp"

namespace weir::fake_server::test {

// A server on a free port, served by a thread of its own until the end of the test.
class Running {
 public:
    explicit Running(ServerOptions options = {})
        : server_(any_port(std::move(options))), thread_([this] { server_.run(); }) {}
    ~Running() { end(); }

    std::uint16_t port() const { return port_; }
    Server& server() { return server_; }

    // Twice: a test that failed may have left an answer under way.
    void end() {
        if (!thread_.joinable()) return;
        server_.stop();
        server_.stop();
        thread_.join();
    }
    void wait() { thread_.join(); }

 private:
    static ServerOptions any_port(ServerOptions options) {
        options.port = 0;
        return options;
    }

    Server server_;
    std::uint16_t port_ = server_.port();
    std::thread thread_;
};

}  // namespace weir::fake_server::test
