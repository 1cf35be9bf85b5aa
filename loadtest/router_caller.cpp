#include "loadtest/router_caller.hpp"

namespace weir::loadtest {

RouterCaller::RouterCaller(asio::io_context& io, const router::RouterConfig& config, unsigned instances,
                           std::uint64_t seed)
    : random_(seed) {
    for (unsigned i = 0; i < instances; ++i) {
        const router::RouterOptions options{.role = "loadtest", .seed = 0};
        routers_.push_back(std::make_unique<router::Router>(io, config, options));
        routers_.back()->start();
    }
}

Task<Outcome> RouterCaller::call(std::string body) {
    std::uniform_int_distribution<std::size_t> pick(0, routers_.size() - 1);
    router::Router& router = *routers_[pick(random_)];
    const router::Reply reply = co_await router.complete(std::move(body));
    co_return outcome_of_status(reply.status);
}

void RouterCaller::stop() noexcept {
    for (const auto& router : routers_) router->stop();
}

}  // namespace weir::loadtest
