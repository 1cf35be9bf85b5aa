// The sentinels that know which server is the master.
//
// A master that is cut off from them does not know that it has been replaced, and answers as before. So they
// are asked now and then whether it still is the one. One sentinel's word is not enough for that, for it may
// itself be cut off from the others: more than half of those that answer have to name the same server.
//
// Thread safety: none; it belongs to the thread of the io_context.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/redis/redis_link.hpp"
#include "router/redis_settings.hpp"

namespace weir::router {

class Sentinels : public std::enable_shared_from_this<Sentinels> {
 public:
    /// Of `settings.nodes`, there must be one, for the master of `settings.service_name`. `resolver` as for
    /// Upstream.
    Sentinels(asio::io_context& io, const RedisSettings& settings, const Resolver& resolver);

    struct Answer {
        RedisAddress master;
        std::string failure;  ///< empty if a master was named
    };

    /// Which one they have named instead of the one that is watched; else what one of them says, each time
    /// another one. All are asked about that soon.
    Task<Answer> find_master(shm::Nanos deadline);

    /// Sees to it that all are asked every `settings.ask_sentinels` whether it is `master`. Returns at once;
    /// the asking keeps this object alive.
    void watch(const RedisAddress& master);

    bool name_another() const noexcept { return another_.has_value(); }

    /// Asks no more than it has begun to.
    void retire() noexcept { retired_ = true; }

 private:
    struct Asking;

    Task<Answer> ask_one(std::size_t which, shm::Nanos deadline);
    static Task<void> ask_all(std::shared_ptr<Sentinels> self, RedisAddress master);

    asio::io_context& io_;
    const RedisSettings settings_;
    Pulse pulse_;  // beats while one is being asked, also when the client is gone
    std::vector<std::unique_ptr<Upstream>> upstreams_;  // a sentinel each
    std::size_t next_ = 0;        // the one to ask next
    std::size_t asking_ = 0;      // how many questions are under way
    std::uint64_t searches_ = 0;  // what was asked about the master found before one is out of date
    bool watching_ = false;       // all are being asked
    bool retired_ = false;
    shm::Nanos watch_at_{};
    std::optional<RedisAddress> another_;
};

}  // namespace weir::router
