// The fake OpenAI server on a port: the programme without its command line, so that tests can run
// it in their own process.
//
// Thread safety: construct and run() on one thread; stop() from any, also before run().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "fake_server/desk.hpp"

namespace weir::fake_server {

/// The address could not be bound; what() names it and says why.
class BindError : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

struct ServerOptions {
    std::string host = "127.0.0.1";  ///< an address or "localhost"
    std::uint16_t port = 8080;       ///< the next one when it is taken; 0 is any free one
    std::int64_t drain_ns = 5 * kNanosPerSecond;  ///< running answers get this long after stop()
    bool stop_on_signals = false;                 ///< SIGINT and SIGTERM do what stop() does
    /// Told of every port that was found taken; may be empty.
    std::function<void(std::uint16_t)> on_port_taken;
    DeskOptions desk;
};

class Server {
 public:
    /// Binds and listens; connections are accepted from then on. Throws BindError.
    explicit Server(const ServerOptions& options);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// The port that it got.
    std::uint16_t port() const;

    /// "http://127.0.0.1:8080".
    std::string url() const;

    /// Serves until stop(), or a signal, and the end of what was running then.
    void run();

    /// Stops accepting, ends idle connections, lets running answers finish. A second call ends
    /// those too.
    void stop();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::fake_server
