// A connection to one Redis: commands, one after the other, each with a deadline.
//
// Thread safety: none; it belongs to the thread of the io_context.
#pragma once

#include <memory>
#include <string>
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
    bool lost = false;    ///< the connection ended before an answer began
};

/// To be sent in one go.
using RedisCommands = std::vector<std::vector<std::string>>;

/// What is said on a new connection before anything else, each by itself.
struct RedisGreeting {
    std::vector<RedisCommands> words;
    RedisNeeds needs;  ///< for advice, where it is refused
};

/// The connections to the server at `address`. `pulse` must outlive it; `resolver` as for Upstream.
std::unique_ptr<Upstream> make_redis_upstream(asio::io_context& io, Pulse& pulse, const RedisAddress& address,
                                              const RedisSettings& settings, const Resolver& resolver);

class RedisLink {
 public:
    RedisLink() = default;
    ~RedisLink() { close(); }
    RedisLink(const RedisLink&) = delete;
    RedisLink& operator=(const RedisLink&) = delete;

    /// Takes an idle connection of `upstream`, which must outlive it, or makes one. Returns why that failed;
    /// an empty text if it did not.
    Task<std::string> open(Upstream& upstream, const RedisGreeting& greeting, shm::Nanos deadline);

    /// Of an open one, for messages: "host:port: ".
    std::string name() const;

    bool is_open() const noexcept { return connection_ != nullptr; }

    /// Whether it is of no more use, because its peer has closed it, or its name leads elsewhere by now. Only
    /// while it is open.
    bool is_stale() const noexcept;

    /// The reply is the last command's.
    Task<RedisReply> exchange(const RedisCommands& commands, shm::Nanos deadline);

    /// Gives the connection back: to be closed, or to be used by another link.
    void close(bool keep = false) noexcept;

 private:
    Upstream* upstream_ = nullptr;  // while it is open
    std::unique_ptr<Connection> connection_;
    RedisReader reader_;
};

}  // namespace weir::router
