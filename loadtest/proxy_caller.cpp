#include "loadtest/proxy_caller.hpp"

namespace weir::loadtest {

ProxyCaller::ProxyCaller(asio::io_context& io, std::span<const router::Url> urls, unsigned instances,
                         const std::string& api_key, Nanos timeout, std::uint64_t seed)
    : random_(seed) {
    for (unsigned i = 0; i < instances; ++i) {
        for (const router::Url& url : urls) {
            clients_.push_back(std::make_unique<Client>(io, url, api_key, timeout));
        }
    }
}

Task<Outcome> ProxyCaller::call(std::string body) {
    std::uniform_int_distribution<std::size_t> pick(0, clients_.size() - 1);
    Client& client = *clients_[pick(random_)];
    const Answer answer = co_await client.post("/chat/completions", std::move(body));
    co_return answer.outcome;
}

void ProxyCaller::stop() noexcept {
    for (const auto& client : clients_) client->close_idle();
}

}  // namespace weir::loadtest
