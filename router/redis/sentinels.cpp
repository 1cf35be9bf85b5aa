#include "router/redis/sentinels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <charconv>
#include <utility>

namespace weir::router {
namespace {

// Put together in plain functions: g++ 12 miscompiles lists in braces within coroutines.
RedisCommands master_question(const std::string& service_name) {
    return {{"SENTINEL", "get-master-addr-by-name", service_name}};
}

RedisGreeting greeting_of(const RedisSettings& settings) {
    RedisGreeting greeting{{}, sentinel_needs()};
    const std::string& password = settings.sentinel_password;
    if (!password.empty()) greeting.words.push_back({{"AUTH", password}});
    return greeting;
}

std::optional<RedisAddress> read_master(const RedisValue& value) {
    if (value.elements.size() != 2) return std::nullopt;
    RedisAddress master;
    master.host = value.elements[0].text;
    const std::string& port = value.elements[1].text;
    std::from_chars(port.data(), port.data() + port.size(), master.port);
    return master;
}

/// What more than half of them say.
std::optional<RedisAddress> agreed(const std::vector<RedisAddress>& named) {
    for (const RedisAddress& one : named) {
        const auto votes = static_cast<std::size_t>(std::count(named.begin(), named.end(), one));
        if (votes * 2 > named.size()) return one;
    }
    return std::nullopt;
}

}  // namespace

/// Lets the pulse beat while it is there.
struct Sentinels::Asking {
    explicit Asking(Sentinels& asked) : sentinels(asked) {
        if (sentinels.asking_++ == 0) sentinels.pulse_.start();
    }
    ~Asking() {
        if (--sentinels.asking_ == 0) sentinels.pulse_.stop();
    }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
    Sentinels& sentinels;
};

Sentinels::Sentinels(asio::io_context& io, const RedisSettings& settings, const Resolver& resolver)
    : io_(io), settings_(settings), pulse_(io) {
    for (const RedisAddress& node : settings_.nodes) {
        upstreams_.push_back(make_redis_upstream(io, pulse_, node, settings_, resolver));
    }
}

Task<Sentinels::Answer> Sentinels::find_master(shm::Nanos deadline) {
    ++searches_;
    if (another_) {
        Answer answer;
        answer.master = *std::exchange(another_, std::nullopt);
        co_return answer;
    }
    watch_at_ = {};
    const std::size_t one = next_++ % upstreams_.size();
    co_return co_await ask_one(one, deadline);
}

Task<Sentinels::Answer> Sentinels::ask_one(std::size_t which, shm::Nanos deadline) {
    const Asking asking(*this);
    Answer answer;
    RedisLink link;
    const RedisGreeting greeting = greeting_of(settings_);
    answer.failure = co_await link.open(*upstreams_[which], greeting, deadline);
    if (answer.failure.empty()) {
        const RedisCommands question = master_question(settings_.service_name);
        const RedisReply reply = co_await link.exchange(question, deadline);
        const auto master = read_master(reply.value);
        answer.failure = reply.failure;
        if (reply.value.is_error()) {
            answer.failure = link.name() + explained(reply.value, greeting.needs);
        } else if (master) {
            answer.master = *master;
        } else if (reply.failure.empty()) {
            answer.failure = fmt::format("{}knows no master '{}'", link.name(), settings_.service_name);
        }
        link.close(reply.failure.empty());
    }
    if (!answer.failure.empty()) answer.failure.insert(0, "sentinel ");
    co_return answer;
}

void Sentinels::watch(const RedisAddress& master) {
    const shm::Nanos now = shm::now();
    if (watching_ || now < watch_at_) return;
    watching_ = true;
    watch_at_ = now + settings_.ask_sentinels;
    const auto self = shared_from_this();
    // What happens to it is not told: they are asked again.
    asio::co_spawn(io_, ask_all(self, master), [self](std::exception_ptr) { self->watching_ = false; });
}

Task<void> Sentinels::ask_all(std::shared_ptr<Sentinels> self, RedisAddress master) {
    const std::uint64_t searches = self->searches_;
    std::vector<RedisAddress> named;
    for (std::size_t i = 0; i < self->upstreams_.size() && !self->retired_; ++i) {
        const Answer answer = co_await self->ask_one(i, shm::now() + self->settings_.timeout);
        if (answer.failure.empty()) named.push_back(answer.master);
    }
    const auto one = agreed(named);
    if (one && *one != master && searches == self->searches_) self->another_ = one;
}

}  // namespace weir::router
