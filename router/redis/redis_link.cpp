#include "router/redis/redis_link.hpp"

#include <fmt/format.h>

namespace weir::router {
namespace {

std::string name_of(const Upstream& upstream) {
    return fmt::format("{}:{}", upstream.url().host, upstream.url().port);
}

}  // namespace

std::unique_ptr<Upstream> make_redis_upstream(asio::io_context& io, Pulse& pulse, const RedisAddress& address,
                                              const RedisSettings& settings, const Resolver& resolver) {
    ConnectionSettings connection;
    connection.connect_timeout = settings.timeout;
    connection.ca_file = settings.ca_file;
    Url url;
    url.tls = settings.tls;
    url.host = address.host;
    url.port = address.port;
    return std::make_unique<Upstream>(io, pulse, url, connection, resolver);
}

Task<std::string> RedisLink::open(Upstream& upstream, const RedisGreeting& greeting, shm::Nanos deadline) {
    close();
    auto acquired = co_await upstream.acquire(false, deadline);
    if (!acquired.connection) {
        co_return fmt::format("{}: {}", name_of(upstream), describe(acquired.error, acquired.reason));
    }
    upstream_ = &upstream;
    connection_ = std::move(acquired.connection);
    reader_ = RedisReader();
    if (connection_->reused) co_return std::string();
    connection_->probe_when_idle();
    for (const RedisCommands& words : greeting.words) {
        RedisReply reply = co_await exchange(words, deadline);
        if (reply.failure.empty() && !reply.value.is_error()) continue;
        if (reply.failure.empty()) reply.failure = name() + explained(reply.value, greeting.needs);
        close();
        co_return reply.failure;
    }
    co_return std::string();
}

bool RedisLink::is_stale() const noexcept {
    return connection_->is_stale() || !upstream_->is_current(*connection_);
}

Task<RedisReply> RedisLink::exchange(const RedisCommands& commands, shm::Nanos deadline) {
    std::string out;
    for (const auto& command : commands) append_command(command, out);
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    const asio::const_buffer piece = asio::buffer(out);
    const std::span<const asio::const_buffer> pieces(&piece, 1);
    ErrorCode broken = co_await connection_->write(pieces);
    RedisReply reply;
    reply.lost = true;
    for (std::size_t missing = commands.size(); !broken && missing > 0;) {
        if (auto value = reader_.next()) {
            reply.value = std::move(*value);
            --missing;
            continue;
        }
        if (reader_.malformed()) {
            reply.failure = name() + "what answers is no Redis";
            co_return reply;
        }
        broken = co_await connection_->read_some();
        if (broken) break;
        reply.lost = false;
        const asio::const_buffer read = connection_->unread();
        reader_.feed(std::string_view(static_cast<const char*>(read.data()), read.size()));
        connection_->consume(read.size());
    }
    connection_->clear_deadline();
    if (!broken) co_return reply;
    reply.lost = reply.lost && !connection_->expired();
    reply.failure =
        name() + (connection_->expired() ? "no answer in time" : "the server closed the connection");
    co_return reply;
}

void RedisLink::close(bool keep) noexcept {
    if (upstream_) upstream_->release(std::move(connection_), keep);
    upstream_ = nullptr;
}

std::string RedisLink::name() const { return name_of(*upstream_) + ": "; }

}  // namespace weir::router
