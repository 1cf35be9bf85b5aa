// Many requests at once against one deployment, and what came of each.
#pragma once

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rig.hpp"
#include "tests/support/fake_upstream.hpp"

namespace weir::router::test {

/// Reserves 51 tokens and uses 21.
inline const std::string kQuestion = R"({"model":"m","messages":[],"max_tokens":50})";

/// Parts of weir_settings.
inline const std::string kWaits = "queue: {max_wait_seconds: 20}";
inline const std::string kShortWindow = kWaits + ", window_seconds: 0.2";

/// Requests that run at the same time, in the order in which they were sent.
class Crowd {
 public:
    explicit Crowd(asio::io_context& io) : io_(io) {}

    void send(Router& router, std::string body) {
        replies_.emplace_back();
        std::optional<Reply>& place = replies_.back();
        asio::co_spawn(io_.get_executor(), router.complete(std::move(body)),
                       [&place](std::exception_ptr, Reply reply) { place = std::move(reply); });
    }
    void send(Router& router, const std::string& model, int priority) {
        send(router, R"({"model":")" + model + R"(","messages":[],"priority":)" +
                         std::to_string(priority) + "}");
    }

    /// Runs until `done` or all have been answered.
    void run_until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!done() && answered() < replies_.size()) {
            REQUIRE(std::chrono::steady_clock::now() < end);
            io_.run_one_for(std::chrono::milliseconds(10));
        }
    }
    void run() {
        run_until([] { return false; });
    }
    std::size_t answered() const {
        return static_cast<std::size_t>(std::count_if(replies_.begin(), replies_.end(),
                                                      [](const auto& r) { return r.has_value(); }));
    }
    const Reply& reply(std::size_t index) const { return replies_.at(index).value(); }
    bool all_well() const {
        return std::all_of(replies_.begin(), replies_.end(),
                           [](const auto& r) { return r.has_value() && r->status == 200; });
    }

 private:
    asio::io_context& io_;
    std::deque<std::optional<Reply>> replies_;
};

/// A deployment `a` of the group `m` with `limits`, and a crowd that asks for it.
struct Counter {
    explicit Counter(const std::string& limits, const std::string& weir = kWaits,
                     const std::string& settings = "", const std::string& more_models = "")
        : rig({entry("m", "a", upstream.base(), limits) + more_models, settings, weir}) {}

    void send(int count = 1) {
        for (int i = 0; i < count; ++i) crowd.send(rig.router(), kQuestion);
    }
    void wait_for(std::size_t waiting) {
        crowd.run_until([&] { return rig.router().waiting() == waiting; });
    }

    weir::test::FakeUpstream upstream;
    Rig rig;
    Crowd crowd{rig.io};
};

inline std::string message_of(const Reply& reply) {
    return nlohmann::json::parse(reply.body).at("error").at("message");
}

/// The models of all requests in the order of their arrival: with '*' they tell them apart.
inline std::vector<std::string> models_at(const weir::test::FakeUpstream& upstream) {
    std::vector<std::string> models;
    const nlohmann::json ledger = upstream.ledger();
    for (const auto& arrival : ledger.at("arrivals")) models.push_back(arrival.at("model"));
    return models;
}

}  // namespace weir::router::test
