#include "router/redis/redis_client.hpp"

#include <fmt/format.h>

#include <charconv>

namespace weir::router {
namespace {

constexpr int kRedirectsMax = 5;

std::string name_of(const RedisAddress& address) {
    return fmt::format("{}:{}", address.host, address.port);
}

// Commands are put together in plain functions: g++ 12 miscompiles lists in braces within coroutines.
using Command = std::vector<std::string>;
using Commands = std::vector<Command>;

Commands script_call(const std::string& sha1, const Command& words, bool asking) {
    Command call = {"EVALSHA", sha1};
    call.insert(call.end(), words.begin(), words.end());
    if (asking) return {{"ASKING"}, std::move(call)};
    return {std::move(call)};
}

Commands script_load(std::string_view script) {
    return {{"SCRIPT", "LOAD", std::string(script)}};
}

Commands master_question(const std::string& service_name) {
    return {{"SENTINEL", "get-master-addr-by-name", service_name}};
}

/// AUTH and SELECT, each to be sent by itself.
std::vector<Commands> greeting(const std::string& username, const std::string& password,
                               std::uint32_t database) {
    std::vector<Commands> all;
    if (!password.empty() && username.empty()) all.push_back({{"AUTH", password}});
    if (!password.empty() && !username.empty()) all.push_back({{"AUTH", username, password}});
    if (database != 0) all.push_back({{"SELECT", fmt::to_string(database)}});
    return all;
}

RedisReply failed(std::string failure) {
    RedisReply reply;
    reply.failure = std::move(failure);
    return reply;
}

}  // namespace

RedisClient::RedisClient(asio::io_context& io, Pulse& pulse, const RedisSettings& settings)
    : io_(io), pulse_(pulse), settings_(settings) {}

Upstream& RedisClient::upstream_for(const RedisAddress& address) {
    auto& upstream = upstreams_[name_of(address)];
    if (!upstream) {
        ConnectionSettings settings;
        settings.connect_timeout = settings_.timeout;
        settings.ca_file = settings_.ca_file;
        Url url;
        url.tls = settings_.tls;
        url.host = address.host;
        url.port = address.port;
        upstream = std::make_unique<Upstream>(io_, pulse_, url, settings);
    }
    return *upstream;
}

std::string RedisClient::refused(const RedisValue& error, const RedisNeeds& needs) const {
    return name_of(address_) + ": " + explained(error, needs);
}

void RedisClient::disconnect() {
    if (upstream_) upstream_->release(std::move(connection_), false);
    upstream_ = nullptr;
    connection_.reset();
}

/// The next attempt asks another node, or the sentinels again.
void RedisClient::forget_server() {
    disconnect();
    address_ = {};
    ++node_;
}

Task<RedisReply> RedisClient::call_script(const std::string& sha1, std::string_view script,
                                          const std::vector<std::string>& words, shm::Nanos deadline) {
    bool asking = false;
    bool loaded = false;
    for (int turn = 0; turn < kRedirectsMax; ++turn) {
        if (!connection_) {
            std::string failure = co_await find_master(deadline);
            if (!failure.empty()) co_return failed(std::move(failure));
        }
        const Commands call = script_call(sha1, words, asking);
        RedisReply reply = co_await exchange(call, deadline);
        if (!reply.failure.empty()) {
            forget_server();
            co_return reply;
        }
        if (!reply.value.is_error()) co_return reply;
        if (reply.value.error_code() == "NOSCRIPT" && !loaded) {
            loaded = true;
            const Commands load = script_load(script);
            reply = co_await exchange(load, deadline);
            if (reply.failure.empty() && !reply.value.is_error()) continue;
        } else if (const auto redirect = read_redirect(reply.value.text)) {
            asking = redirect->ask;
            loaded = false;
            std::string failure = co_await follow(*redirect, deadline);
            if (failure.empty()) continue;
            co_return failed(std::move(failure));
        }
        if (reply.failure.empty()) reply.failure = refused(reply.value, store_needs(settings_.prefix));
        if (ends_connection(reply.value)) forget_server();
        co_return reply;
    }
    co_return failed("redirected in circles");
}

Task<std::string> RedisClient::follow(const RedisRedirect& redirect, shm::Nanos deadline) {
    RedisAddress there = address_;
    if (!redirect.host.empty()) there.host = redirect.host;
    there.port = redirect.port;
    disconnect();
    co_return co_await connect(there, deadline);
}

/// Connects to the server that commands are for. Returns why not.
Task<std::string> RedisClient::find_master(shm::Nanos deadline) {
    const RedisAddress node = settings_.nodes[node_ % settings_.nodes.size()];
    if (settings_.kind != RedisSettings::Kind::sentinel) {
        co_return co_await connect(address_.host.empty() ? node : address_, deadline);
    }
    const RedisReply reply = co_await ask_sentinel(node, deadline);
    disconnect();
    const auto& found = reply.value.elements;
    RedisAddress master;
    const bool known = reply.failure.empty() && found.size() == 2;
    if (known) {
        master.host = found[0].text;
        const std::string& port = found[1].text;
        std::from_chars(port.data(), port.data() + port.size(), master.port);
        co_return co_await connect(master, deadline);
    }
    ++node_;
    if (!reply.failure.empty()) co_return reply.failure;
    co_return fmt::format("sentinel {} knows no master '{}'", name_of(node), settings_.service_name);
}

Task<RedisReply> RedisClient::ask_sentinel(const RedisAddress& sentinel, shm::Nanos deadline) {
    upstream_ = &upstream_for(sentinel);
    auto acquired = co_await upstream_->acquire(true);
    if (!acquired.connection) {
        upstream_ = nullptr;
        co_return failed(fmt::format("sentinel {}: {}", name_of(sentinel), to_string(acquired.error)));
    }
    connection_ = std::move(acquired.connection);
    address_ = sentinel;
    const auto words = greeting(std::string(), settings_.sentinel_password, 0);
    std::string failure = co_await greet(words, sentinel_needs(), deadline);
    if (!failure.empty()) co_return failed(std::move(failure));
    const Commands question = master_question(settings_.service_name);
    RedisReply reply = co_await exchange(question, deadline);
    if (reply.failure.empty() && reply.value.is_error()) {
        reply.failure = "sentinel " + refused(reply.value, sentinel_needs());
    }
    co_return reply;
}

Task<std::string> RedisClient::connect(const RedisAddress& address, shm::Nanos deadline) {
    disconnect();
    upstream_ = &upstream_for(address);
    auto acquired = co_await upstream_->acquire(true);
    address_ = address;
    if (!acquired.connection) {
        upstream_ = nullptr;
        const std::string failure = fmt::format("{}: {}", name_of(address), to_string(acquired.error));
        forget_server();
        co_return failure;
    }
    connection_ = std::move(acquired.connection);
    const auto words = greeting(settings_.username, settings_.password, settings_.database);
    std::string failure = co_await greet(words, store_needs(settings_.prefix), deadline);
    if (!failure.empty()) forget_server();
    co_return failure;
}

/// Says who we are. Returns what was wrong with it.
Task<std::string> RedisClient::greet(const std::vector<Commands>& words, const RedisNeeds& needs,
                                     shm::Nanos deadline) {
    reader_ = RedisReader();
    for (const Commands& command : words) {
        const RedisReply reply = co_await exchange(command, deadline);
        if (!reply.failure.empty()) co_return reply.failure;
        if (reply.value.is_error()) co_return refused(reply.value, needs);
    }
    co_return std::string();
}

/// Sends commands in one go. The reply is the last one's.
Task<RedisReply> RedisClient::exchange(const Commands& commands, shm::Nanos deadline) {
    std::string out;
    for (const auto& command : commands) append_command(command, out);
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    const asio::const_buffer piece = asio::buffer(out);
    const std::span<const asio::const_buffer> pieces(&piece, 1);
    const ErrorCode broken = co_await connection_->write(pieces);
    if (broken) {
        co_return failed(name_of(address_) +
                         (connection_->expired() ? ": no answer in time" : ": the connection broke"));
    }
    std::size_t missing = commands.size();
    RedisReply reply;
    while (missing > 0) {
        if (auto value = reader_.next()) {
            reply.value = std::move(*value);
            --missing;
            continue;
        }
        if (reader_.malformed()) co_return failed(name_of(address_) + ": what answers is no Redis");
        if (const ErrorCode error = co_await connection_->read_some()) {
            co_return failed(connection_->expired() ? "no answer in time"
                                                    : "the server closed the connection");
        }
        const asio::const_buffer read = connection_->unread();
        reader_.feed(std::string_view(static_cast<const char*>(read.data()), read.size()));
        connection_->consume(read.size());
    }
    connection_->clear_deadline();
    co_return reply;
}

}  // namespace weir::router
