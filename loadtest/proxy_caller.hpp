// Sends each request to a proxy chosen at random.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <random>
#include <span>
#include <vector>

#include "loadtest/caller.hpp"
#include "loadtest/client.hpp"

namespace weir::loadtest {

class ProxyCaller final : public Caller {
 public:
    /// `instances` clients for each of `urls`, each with connections of its own.
    ProxyCaller(asio::io_context& io, std::span<const router::Url> urls, unsigned instances,
                const std::string& api_key, Nanos timeout, std::uint64_t seed);

    Task<Outcome> call(std::string body) override;
    void stop() noexcept override;

 private:
    std::vector<std::unique_ptr<Client>> clients_;
    std::mt19937_64 random_;
};

}  // namespace weir::loadtest
