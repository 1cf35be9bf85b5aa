#include "router/redis/redis_client.hpp"

#include <fmt/format.h>

namespace weir::router {
namespace {

constexpr int kRedirectsMax = 5;

/// How long to wait while a cluster moves the keys; then twice as long each time.
constexpr shm::Nanos kTryAgainAfter = std::chrono::milliseconds(5);

std::string name_of(const RedisAddress& address) {
    return fmt::format("{}:{}", address.host, address.port);
}

// Commands are put together in plain functions: g++ 12 miscompiles lists in braces within coroutines.
RedisCommands script_call(const std::string& sha1, const std::vector<std::string>& words, bool asking) {
    std::vector<std::string> call = {"EVALSHA", sha1};
    call.insert(call.end(), words.begin(), words.end());
    if (asking) return {{"ASKING"}, std::move(call)};
    return {std::move(call)};
}

RedisCommands script_load(std::string_view script) {
    return {{"SCRIPT", "LOAD", std::string(script)}};
}

RedisGreeting store_greeting(const RedisSettings& settings) {
    RedisGreeting greeting{{}, store_needs(settings.prefix)};
    const std::string& username = settings.username;
    const std::string& password = settings.password;
    if (!password.empty() && username.empty()) greeting.words.push_back({{"AUTH", password}});
    if (!password.empty() && !username.empty()) greeting.words.push_back({{"AUTH", username, password}});
    if (settings.database != 0) greeting.words.push_back({{"SELECT", fmt::to_string(settings.database)}});
    return greeting;
}

bool is_answer(const RedisReply& reply) { return reply.failure.empty() && !reply.value.is_error(); }

RedisReply failed(std::string failure) {
    RedisReply reply;
    reply.failure = std::move(failure);
    return reply;
}

}  // namespace

/// How far a call has come.
struct RedisClient::Course {
    std::string_view script;
    shm::Nanos deadline;
    bool kept;  // the connection is from an earlier call, and may have broken since
    bool asking = false;
    bool loaded = false;
    int redirects = 0;
    shm::Nanos pause = kTryAgainAfter;
};

RedisClient::RedisClient(asio::io_context& io, Pulse& pulse, const RedisSettings& settings, Resolver resolver)
    : io_(io), pulse_(pulse), settings_(settings), resolver_(std::move(resolver)) {
    if (settings_.kind == RedisSettings::Kind::sentinel) {
        sentinels_ = std::make_shared<Sentinels>(io_, settings_, resolver_);
    }
}

RedisClient::~RedisClient() {
    if (sentinels_) sentinels_->retire();
}

Upstream& RedisClient::upstream_for(const RedisAddress& address) {
    auto& upstream = upstreams_[name_of(address)];
    if (!upstream) upstream = make_redis_upstream(io_, pulse_, address, settings_, resolver_);
    return *upstream;
}

/// The next attempt asks another node, or the sentinels again; and a name anew for its address, for it may
/// lead to the new master by now.
void RedisClient::forget_server() {
    link_.close();
    upstream_for(address_).distrust_addresses();
    address_ = {};
    ++node_;
}

Task<RedisReply> RedisClient::call_script(const std::string& sha1, std::string_view script,
                                          const std::vector<std::string>& words, shm::Nanos deadline) {
    const bool replaced = sentinels_ && sentinels_->name_another();
    if (link_.is_open() && (replaced || link_.is_stale())) link_.close();
    Course course{script, deadline, link_.is_open()};
    for (;;) {
        if (!link_.is_open()) {
            std::string failure = co_await find_master(deadline);
            if (!failure.empty()) co_return failed(std::move(failure));
        }
        const RedisCommands call = script_call(sha1, words, course.asking);
        RedisReply reply = co_await link_.exchange(call, deadline);
        if (is_answer(reply)) {
            if (sentinels_) sentinels_->watch(address_);
            co_return reply;
        }
        const bool again = co_await goes_on(reply, course);
        if (!again) co_return reply;
    }
}

/// Does what can be done about a call that was not answered. False if that is nothing; then `reply` says
/// what was wrong.
Task<bool> RedisClient::goes_on(RedisReply& reply, Course& course) {
    if (reply.lost && course.kept) {
        course.kept = false;
        link_.close();
        co_return true;
    }
    if (reply.value.error_code() == "NOSCRIPT" && !course.loaded) {
        course.loaded = true;
        const RedisCommands load = script_load(course.script);
        reply = co_await link_.exchange(load, course.deadline);
        if (is_answer(reply)) co_return true;
    } else if (reply.value.error_code() == "TRYAGAIN") {
        const bool waited = co_await pause(course);
        if (waited) co_return true;
    } else if (const auto redirect = read_redirect(reply.value.text)) {
        reply.failure = co_await follow(*redirect, course);
        co_return reply.failure.empty();
    }
    const bool elsewhere = !reply.failure.empty() || ends_connection(reply.value);
    if (reply.failure.empty()) {
        reply.failure = name_of(address_) + ": " + explained(reply.value, store_needs(settings_.prefix));
    }
    if (elsewhere) forget_server();
    co_return false;
}

/// False if there is no time for it.
Task<bool> RedisClient::pause(Course& course) {
    const shm::Nanos until = shm::now() + course.pause;
    course.pause *= 2;
    if (until >= course.deadline) co_return false;
    Timer timer(io_);
    timer.expires_at(Timer::time_point(until));
    co_await timer.async_wait(kAwait);
    co_return true;
}

Task<std::string> RedisClient::follow(const RedisRedirect& redirect, Course& course) {
    if (++course.redirects == kRedirectsMax) {
        forget_server();
        co_return "redirected in circles";
    }
    course.asking = redirect.ask;
    course.loaded = course.kept = false;
    RedisAddress there = address_;
    if (!redirect.host.empty()) there.host = redirect.host;
    there.port = redirect.port;
    co_return co_await connect(there, course.deadline);
}

/// Connects to the server that commands are for. Returns why not.
Task<std::string> RedisClient::find_master(shm::Nanos deadline) {
    RedisAddress there = address_;
    if (sentinels_) {
        const Sentinels::Answer answer = co_await sentinels_->find_master(deadline);
        if (!answer.failure.empty()) co_return answer.failure;
        there = answer.master;
    } else if (there.host.empty()) {
        there = settings_.nodes[node_ % settings_.nodes.size()];
    }
    co_return co_await connect(there, deadline);
}

/// Returns why not.
Task<std::string> RedisClient::connect(const RedisAddress& address, shm::Nanos deadline) {
    address_ = address;
    const RedisGreeting greeting = store_greeting(settings_);
    std::string failure = co_await link_.open(upstream_for(address), greeting, deadline);
    if (!failure.empty()) forget_server();
    co_return failure;
}

}  // namespace weir::router
