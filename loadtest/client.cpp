#include "loadtest/client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>

namespace weir::loadtest {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using router::ErrorCode;
using router::kAwait;

/// A ledger of a million arrivals is some 250 MB.
constexpr std::uint64_t kAnswerBytesMax = 1u << 30;

std::vector<router::Tcp::endpoint> look_up(asio::io_context& io, const router::Url& url) {
    asio::ip::basic_resolver<router::Tcp, router::Executor> resolver(io);
    ErrorCode ec;
    const auto found = resolver.resolve(url.host, std::to_string(url.port), ec);
    if (ec) throw std::runtime_error(fmt::format("cannot find the host \"{}\": {}", url.host, ec.message()));
    std::vector<router::Tcp::endpoint> endpoints;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    return endpoints;
}

Outcome outcome_of_error(ErrorCode ec) {
    const bool is_http = ec.category() == http::make_error_code(http::error::end_of_stream).category();
    const bool is_early_end = ec == http::error::end_of_stream || ec == http::error::partial_message;
    return is_http && !is_early_end ? Outcome::odd_answer : Outcome::connection_lost;
}

}  // namespace

struct Client::Connection {
    explicit Connection(asio::io_context& io) : socket(io), timer(io) {}

    /// Whether the server has closed it or sent something unasked for.
    bool is_stale() {
        char byte = 0;
        const auto got = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return got >= 0 || errno != EAGAIN;
    }

    void close() noexcept {
        ErrorCode ignored;
        socket.close(ignored);
    }

    router::Socket socket;
    router::Timer timer;
    beast::flat_buffer buffer;
    std::uint64_t turn = 0;  // the request that it is used for; tells a late timer that it is too late
    bool timed_out = false;
};

Client::Client(asio::io_context& io, const router::Url& url, std::string api_key, Nanos timeout)
    : io_(io), url_(url), api_key_(std::move(api_key)), timeout_(timeout) {
    if (url.tls) throw std::runtime_error("https is not supported by the load test");
    endpoints_ = look_up(io, url);
}

Client::~Client() { close_idle(); }

Task<Answer> Client::post(std::string_view target, std::string body) {
    return send(head("POST", target, body.size()) + body);
}

Task<Answer> Client::get(std::string_view target) { return send(head("GET", target, 0)); }

void Client::close_idle() noexcept {
    for (const auto& connection : idle_) connection->close();
    idle_.clear();
}

std::string Client::head(std::string_view method, std::string_view target, std::size_t body_bytes) const {
    std::string text = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: weir-loadtest\r\n", method,
                                   url_.path, target, router::authority(url_));
    if (!api_key_.empty()) text += fmt::format("Authorization: Bearer {}\r\n", api_key_);
    if (body_bytes > 0) {
        text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body_bytes);
    }
    return text + "\r\n";
}

Client::ConnectionPtr Client::take_idle() {
    while (!idle_.empty()) {
        ConnectionPtr connection = std::move(idle_.back());
        idle_.pop_back();
        if (!connection->is_stale()) return connection;
        connection->close();
    }
    return nullptr;
}

Task<Answer> Client::send(std::string request) {
    ConnectionPtr connection = take_idle();
    const bool is_new = connection == nullptr;
    if (is_new) connection = std::make_shared<Connection>(io_);

    connection->timer.expires_after(timeout_);
    connection->timer.async_wait([connection, turn = ++connection->turn](ErrorCode ec) {
        if (ec || connection->turn != turn) return;
        connection->timed_out = true;
        connection->close();
    });
    Answer answer;
    if (is_new) {
        const auto [ec, endpoint] = co_await asio::async_connect(connection->socket, endpoints_, kAwait);
        answer.outcome = Outcome::connect_failed;
        if (!ec) {
            ErrorCode ignored;
            connection->socket.set_option(router::Tcp::no_delay(true), ignored);
        }
        if (!ec && !connection->timed_out) answer = co_await exchange(connection, request);
    } else {
        answer = co_await exchange(connection, request);
    }
    ++connection->turn;
    connection->timer.cancel();
    if (connection->timed_out) answer.outcome = Outcome::timeout;
    co_return answer;
}

Task<Answer> Client::exchange(ConnectionPtr connection, std::string_view request) {
    Answer answer;
    auto& socket = connection->socket;
    const auto [write_error, written] = co_await asio::async_write(socket, asio::buffer(request), kAwait);
    if (write_error) {
        answer.outcome = Outcome::connection_lost;
        connection->close();
        co_return answer;
    }
    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerBytesMax);
    const auto [read_error, got] = co_await http::async_read(socket, connection->buffer, parser, kAwait);
    if (read_error) {
        answer.outcome = outcome_of_error(read_error);
        connection->close();
        co_return answer;
    }
    answer.status = parser.get().result_int();
    answer.outcome = outcome_of_status(answer.status);
    answer.body = std::move(parser.get().body());
    if (parser.keep_alive() && connection->buffer.size() == 0) {
        idle_.push_back(std::move(connection));
    } else {
        connection->close();
    }
    co_return answer;
}

}  // namespace weir::loadtest
