// A Redis of one's own: on a free port and on a Unix socket, with its data in a temporary folder, ended with
// the object.
//
// The environment's WEIR_REDIS_SERVER says which program that is, for any engine that takes redis-server's
// options; otherwise it is redis-server. It is looked up in PATH.
//
// Thread safety: none. Errors throw std::runtime_error.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/program.hpp"
#include "tests/support/scratch.hpp"

namespace weir::test {

class RedisServer {
 public:
    /// False where there is no redis-server: a test says so and is skipped. One that WEIR_REDIS_SERVER names
    /// has to be there.
    static bool available();

    /// `settings` in addition to those above, as on the command line; "--sentinel" makes it a sentinel.
    explicit RedisServer(std::vector<std::string> settings = {});

    std::uint16_t port() const noexcept { return port_; }
    std::string socket_path() const { return folder_.path("redis.sock"); }

    /// Kills it as a crash does. Nothing is saved.
    void stop() { server_.reset(); }

    /// Starts it again, on the same port and without data but what SAVE has saved.
    void restart();

    void pause() { server_->signal(SIGSTOP); }
    void resume() { server_->signal(SIGCONT); }

    /// A port that is free now, and that a member of a cluster may have.
    static std::uint16_t free_port();

 private:
    std::vector<std::string> command() const;
    bool start();
    [[noreturn]] void fail() const;
    bool answers() const;

    std::vector<std::string> settings_;
    std::uint16_t port_ = 0;
    ScratchFolder folder_;
    std::optional<Program> server_;  // ended before its folder goes
};

}  // namespace weir::test
