// A connection to the server that holds the keys, wherever that is at the moment: behind one
// address, as a sentinel's master, or on a node of a cluster.
//
// One command after the other. Every step has a deadline; what goes wrong is one text for the log, and the
// next command begins anew.
//
// Thread safety: none; it belongs to the thread of the io_context.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/redis/redis_error.hpp"
#include "router/redis/redis_value.hpp"
#include "router/redis_settings.hpp"
#include "router/upstream.hpp"

namespace weir::router {

/// A value, or why there is none.
struct RedisReply {
    RedisValue value;
    std::string failure;  ///< empty if there is a value
};

class RedisClient {
 public:
    /// `pulse` and `settings` must outlive it.
    RedisClient(asio::io_context& io, Pulse& pulse, const RedisSettings& settings);

    /// Calls the script `sha1`, whose text is `script`, with `words` behind it. Loads it where it is missing,
    /// and goes where it is sent. `deadline` is CLOCK_MONOTONIC.
    Task<RedisReply> call_script(const std::string& sha1, std::string_view script,
                                 const std::vector<std::string>& words, shm::Nanos deadline);

 private:
    using Commands = std::vector<std::vector<std::string>>;

    Task<std::string> find_master(shm::Nanos deadline);
    Task<RedisReply> ask_sentinel(const RedisAddress& sentinel, shm::Nanos deadline);
    Task<std::string> connect(const RedisAddress& address, shm::Nanos deadline);
    Task<RedisReply> exchange(const Commands& commands, shm::Nanos deadline);
    Task<std::string> greet(const std::vector<Commands>& words, const RedisNeeds& needs, shm::Nanos deadline);
    Task<std::string> follow(const RedisRedirect& redirect, shm::Nanos deadline);
    Upstream& upstream_for(const RedisAddress& address);
    std::string refused(const RedisValue& error, const RedisNeeds& needs) const;
    void disconnect();
    void forget_server();

    asio::io_context& io_;
    Pulse& pulse_;
    const RedisSettings& settings_;
    std::map<std::string, std::unique_ptr<Upstream>> upstreams_;  // by host and port
    RedisAddress address_;          // of the server that is believed to be the right one
    std::size_t node_ = 0;          // the one of settings_.nodes to try next
    Upstream* upstream_ = nullptr;  // of the connection
    std::unique_ptr<Connection> connection_;
    RedisReader reader_;
};

}  // namespace weir::router
