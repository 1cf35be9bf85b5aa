// A Redis server of the benchmark's own: a temporary directory, a Unix socket and a free port in it.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <string>

namespace weir::bench {

class RedisServer {
 public:
    /// Starts redis-server, found by PATH. Throws std::runtime_error if there is none or it does not answer.
    RedisServer();

    /// Ends it and removes its directory.
    ~RedisServer();
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    const std::string& socket_path() const noexcept { return socket_path_; }
    int port() const noexcept { return port_; }

 private:
    struct Process;

    bool start();
    bool answers() const;

    std::string directory_;
    std::string socket_path_;
    int port_ = 0;
    std::unique_ptr<Process> process_;
};

}  // namespace weir::bench
