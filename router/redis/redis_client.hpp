// A client of the server that holds the keys, wherever that is at the moment: behind one address, as a
// sentinel's master, or on a node of a cluster.
//
// One call after the other. Every call has a deadline; what goes wrong is one text for the log, and the
// next call begins anew.
//
// Thread safety: none; it belongs to the thread of the io_context.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/redis/redis_link.hpp"
#include "router/redis/sentinels.hpp"
#include "router/redis_settings.hpp"

namespace weir::router {

class RedisClient {
 public:
    /// `pulse` and `settings` must outlive it. `resolver` as for Upstream.
    RedisClient(asio::io_context& io, Pulse& pulse, const RedisSettings& settings, Resolver resolver = {});
    ~RedisClient();

    /// Calls the script `sha1`, whose text is `script`, with `words` behind it. Loads it where it is missing,
    /// and goes where it is sent. It may be executed twice, if a connection breaks before its answer.
    /// `deadline` is CLOCK_MONOTONIC.
    Task<RedisReply> call_script(const std::string& sha1, std::string_view script,
                                 const std::vector<std::string>& words, shm::Nanos deadline);

 private:
    struct Course;

    Task<bool> goes_on(RedisReply& reply, Course& course);
    Task<bool> pause(Course& course);
    Task<std::string> find_master(shm::Nanos deadline);
    Task<std::string> connect(const RedisAddress& address, shm::Nanos deadline);
    Task<std::string> follow(const RedisRedirect& redirect, Course& course);
    Upstream& upstream_for(const RedisAddress& address);
    void forget_server();

    asio::io_context& io_;
    Pulse& pulse_;
    const RedisSettings& settings_;
    Resolver resolver_;
    std::shared_ptr<Sentinels> sentinels_;  // if settings_ has some
    std::map<std::string, std::unique_ptr<Upstream>> upstreams_;  // by host and port
    RedisAddress address_;  // of the server that is believed to be the right one
    std::size_t node_ = 0;  // the one of settings_.nodes to try next, if they are no sentinels
    RedisLink link_;        // to address_
};

}  // namespace weir::router
