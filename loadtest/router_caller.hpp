// Gives each request to a router of this process, chosen at random.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "loadtest/caller.hpp"
#include "router/router.hpp"

namespace weir::loadtest {

class RouterCaller final : public Caller {
 public:
    /// `instances` routers, each as a process of its own would have it. Throws what Router throws.
    RouterCaller(asio::io_context& io, const router::RouterConfig& config, unsigned instances,
                 std::uint64_t seed);

    Task<Outcome> call(std::string body) override;
    void stop() noexcept override;

 private:
    std::vector<std::unique_ptr<router::Router>> routers_;
    std::mt19937_64 random_;
};

}  // namespace weir::loadtest
