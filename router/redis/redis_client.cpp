#include "router/redis/redis_client.hpp"

#include <fmt/format.h>

#include <charconv>

namespace weir::router {
namespace {

constexpr int kRedirectsMax = 5;

std::string name_of(const RedisAddress& address) {
    return fmt::format("{}:{}", address.host, address.port);
}

/// What an error means for whoever reads the log. The server's own words come first.
std::string explained(const RedisValue& error) {
    const std::string_view code = error.error_code();
    std::string_view advice;
    if (code == "NOAUTH") advice = "; a password is needed (redis_password)";
    if (code == "WRONGPASS" || error.text.find("invalid password") != std::string::npos) {
        advice = "; the username or password is wrong";
    }
    if (code == "NOPERM")
        advice = "; the user needs EVALSHA, SCRIPT LOAD, TIME, hashes and PEXPIRE on the prefix";
    if (code == "READONLY") advice = "; this is a replica, the master is looked for again";
    if (code == "LOADING") advice = "; it will be ready soon";
    if (code == "CLUSTERDOWN") advice = "; it will be tried again";
    return error.text + std::string(advice);
}

/// Errors after which another server, or another greeting, may fare better.
bool ends_connection(std::string_view code) {
    return code == "READONLY" || code == "NOAUTH" || code == "LOADING" || code == "MASTERDOWN" ||
           code == "CLUSTERDOWN" || code == "UNBLOCKED" || code == "NOREPLICAS";
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
    std::vector<std::string> call = {"EVALSHA", sha1};
    call.insert(call.end(), words.begin(), words.end());
    bool asking = false;
    bool loaded = false;
    for (int turn = 0; turn < kRedirectsMax; ++turn) {
        if (!connection_) {
            std::string failure = co_await find_master(deadline);
            if (!failure.empty()) co_return RedisReply{{}, std::move(failure)};
        }
        const Commands commands = asking ? Commands{{"ASKING"}, call} : Commands{call};
        RedisReply reply = co_await exchange(commands, deadline);
        if (!reply.failure.empty()) {
            forget_server();
            co_return reply;
        }
        if (!reply.value.is_error()) co_return reply;
        const std::string server = name_of(address_);
        if (reply.value.error_code() == "NOSCRIPT" && !loaded) {
            loaded = true;
            reply = co_await exchange({{"SCRIPT", "LOAD", std::string(script)}}, deadline);
            if (reply.failure.empty() && !reply.value.is_error()) continue;
        } else if (const auto redirect = read_redirect(reply.value.text)) {
            asking = redirect->ask;
            loaded = false;
            std::string failure = co_await follow(*redirect, deadline);
            if (failure.empty()) continue;
            co_return RedisReply{{}, std::move(failure)};
        }
        if (reply.failure.empty()) reply.failure = fmt::format("{}: {}", server, explained(reply.value));
        if (ends_connection(reply.value.error_code())) forget_server();
        co_return reply;
    }
    co_return RedisReply{{}, "redirected in circles"};
}

Task<std::string> RedisClient::follow(const RedisRedirect& redirect, shm::Nanos deadline) {
    RedisAddress there = {redirect.host.empty() ? address_.host : redirect.host, redirect.port};
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
        co_return RedisReply{{},
                             fmt::format("sentinel {}: {}", name_of(sentinel), to_string(acquired.error))};
    }
    connection_ = std::move(acquired.connection);
    address_ = sentinel;
    std::string failure = co_await greet({}, settings_.sentinel_password, 0, deadline);
    if (!failure.empty()) co_return RedisReply{{}, std::move(failure)};
    RedisReply reply =
        co_await exchange({{"SENTINEL", "get-master-addr-by-name", settings_.service_name}}, deadline);
    if (reply.failure.empty() && reply.value.is_error()) {
        reply.failure = fmt::format("sentinel {}: {}", name_of(sentinel), explained(reply.value));
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
    std::string failure =
        co_await greet(settings_.username, settings_.password, settings_.database, deadline);
    if (!failure.empty()) forget_server();
    co_return failure;
}

/// AUTH and SELECT, where they are needed.
Task<std::string> RedisClient::greet(const std::string& username, const std::string& password,
                                     std::uint32_t database, shm::Nanos deadline) {
    reader_ = RedisReader();
    Commands commands;
    if (!password.empty() && username.empty()) commands.push_back({"AUTH", password});
    if (!password.empty() && !username.empty()) commands.push_back({"AUTH", username, password});
    if (database != 0) commands.push_back({"SELECT", fmt::to_string(database)});
    for (const auto& command : commands) {
        const RedisReply reply = co_await exchange({command}, deadline);
        if (!reply.failure.empty()) co_return reply.failure;
        if (reply.value.is_error())
            co_return fmt::format("{}: {}", name_of(address_), explained(reply.value));
    }
    co_return std::string();
}

/// Sends commands in one go. The reply is the last one's.
Task<RedisReply> RedisClient::exchange(const Commands& commands, shm::Nanos deadline) {
    const auto failed = [&](std::string_view why) {
        return RedisReply{{}, fmt::format("{}: {}", name_of(address_), why)};
    };
    std::string out;
    for (const auto& command : commands) append_command(command, out);
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    const asio::const_buffer piece = asio::buffer(out);
    if (co_await connection_->write({&piece, 1})) {
        co_return failed(connection_->expired() ? "no answer in time" : "the connection broke");
    }
    std::size_t missing = commands.size();
    RedisReply reply;
    while (missing > 0) {
        if (auto value = reader_.next()) {
            reply.value = std::move(*value);
            --missing;
            continue;
        }
        if (reader_.malformed()) co_return failed("what answers is no Redis");
        if (const ErrorCode error = co_await connection_->read_some()) {
            co_return failed(connection_->expired() ? "no answer in time"
                                                    : "the server closed the connection");
        }
        const asio::const_buffer read = connection_->unread();
        reader_.feed({static_cast<const char*>(read.data()), read.size()});
        connection_->consume(read.size());
    }
    connection_->clear_deadline();
    co_return reply;
}

}  // namespace weir::router
