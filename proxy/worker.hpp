// One process that serves: an event loop, a router, a server, and the signals that govern them.
//
// SIGTERM and SIGINT: accept nobody further, finish what is under way within drain_seconds, end. A
// second one ends at once. SIGHUP: read the configuration again; a bad one changes nothing. SIGUSR1
// and SIGUSR2: log more, log less.
//
// Thread safety: none. One per process.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <memory>
#include <string>

#include "proxy/options.hpp"
#include "proxy/server.hpp"

namespace weir::proxy {

class Worker {
 public:
    /// Serves `listening` by `config`. `role` is shown by weir-inspect. Throws shm::SegmentError,
    /// shm::DirectoryFull, or std::runtime_error for certificates that cannot be used.
    Worker(const Options& options, const router::RouterConfig& config, int listening,
           const std::string& role);

    /// Until it is told to end, or has served as many requests as it may.
    void run();

 private:
    void await_signal();
    void on_signal(int number);
    void on_beat();
    void reload();
    void end();
    void drain();
    void leave();

    Options options_;
    router::RouterOptions router_options_;
    // Its sockets belong to one thread and need no locks; the resolver's thread only posts to it.
    router::asio::io_context io_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
    Service service_;
    Server server_;
    router::asio::signal_set signals_;
    const std::uint64_t requests_most_;  // then it ends; 0: never
    router::Timer drained_;
    shm::Nanos drain_until_{};
};

/// Prints what there is to say about a configuration; false if it cannot be used. That nobody is asked for a
/// key is worth a warning where others than this host can reach the proxy.
bool report_problems(const router::LoadedConfig& loaded, const Options& options);

/// The certificates to speak TLS with; null if there are none. Throws std::runtime_error that names
/// the file and what is wrong with it.
std::unique_ptr<router::asio::ssl::context> client_tls(const Options& options);

}  // namespace weir::proxy
