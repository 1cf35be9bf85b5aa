#include "proxy/intake.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weir::proxy {

namespace asio = router::asio;
namespace http = boost::beast::http;
using router::ErrorCode;
using router::Task;

namespace {

/// A body of unknown or large size takes memory as it comes, not as it is announced.
constexpr std::uint64_t kReservedMax = 1u << 20;

/// What a buffer may keep from one request to the next.
constexpr std::size_t kKeptMax = 256u << 10;

}  // namespace

Task<Intake::Result> Intake::read_head(router::ClientSettings limits) {
    if (body_.capacity() > kKeptMax) std::string().swap(body_);
    body_.clear();
    pieces_.clear();
    head_.method.clear();
    head_.target.clear();
    parser_.emplace(head_, pieces_, limits.max_head_bytes);
    idle_ = connection_.unread().size() == 0;
    connection_.reset_expired();
    connection_.set_deadline(shm::coarse_now() + (idle_ ? limits.idle_timeout : limits.head_timeout));
    while (!parser_->is_header_done()) {
        if (connection_.unread().size() == 0 || parser_->got_some()) {
            if (const ErrorCode error = co_await connection_.read_some()) {
                if (idle_ || !connection_.expired()) co_return Result::gone;
                co_return refuse(408, "The request's head took too long.", "headers");
            }
        }
        if (idle_) connection_.set_deadline(shm::coarse_now() + limits.head_timeout);
        idle_ = false;
        ErrorCode error;
        connection_.consume(parser_->put(connection_.unread(), error));
        if (error == http::error::need_more) continue;
        if (error == http::error::header_limit) {
            co_return refuse(
                431,
                fmt::format("The request's head is larger than {} bytes.", limits.max_head_bytes),
                "headers");
        }
        if (error)
            co_return refuse(400, "Not a valid HTTP/1.1 request: " + error.message(), "request");
    }
    connection_.clear_deadline();
    co_return Result::ready;
}

Task<Intake::Result> Intake::read_body(const router::ClientSettings& limits,
                                       std::uint64_t bytes_max) {
    const std::uint64_t announced = parser_->content_length().value_or(0);
    if (announced > bytes_max || !take_body(bytes_max)) co_return too_large(bytes_max);
    const bool asks = head_.version == 11 && router::same_name(head_.fields.get("expect"), "100-continue");
    if (asks && !parser_->is_done()) {
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        const asio::const_buffer piece = asio::buffer(kContinue);
        if (co_await connection_.write({&piece, 1})) co_return Result::gone;
    }
    body_.reserve(std::min(announced, kReservedMax));
    bool more = connection_.unread().size() == 0;
    while (!parser_->is_done()) {
        if (more) {
            connection_.set_deadline(shm::coarse_now() + limits.body_timeout);
            if (co_await connection_.read_some()) {
                if (!connection_.expired()) co_return Result::gone;
                co_return refuse(408, "The request's body took too long.", "request_body");
            }
        }
        ErrorCode error;
        connection_.consume(parser_->put(connection_.unread(), error));
        if (!take_body(bytes_max)) co_return too_large(bytes_max);
        if (error && error != http::error::need_more) {
            co_return refuse(400, "The request's body is malformed: " + error.message(),
                             "request_body");
        }
        more = error == http::error::need_more || connection_.unread().size() == 0;
    }
    connection_.clear_deadline();
    co_return Result::ready;
}

/// Gathers what the parser has found of the body; false if it has become too large.
bool Intake::take_body(std::uint64_t bytes_max) {
    for (const asio::const_buffer& piece : pieces_) {
        body_.append(static_cast<const char*>(piece.data()), piece.size());
    }
    pieces_.clear();
    return body_.size() <= bytes_max;
}

Intake::Result Intake::refuse(unsigned status, std::string message, std::string param) {
    connection_.clear_deadline();
    refusal_ = {status, std::move(message), "invalid_request_error", std::move(param), {}};
    return Result::refused;
}

Intake::Result Intake::too_large(std::uint64_t bytes_max) {
    return refuse(413, fmt::format("The request's body is larger than {} bytes.", bytes_max),
                  "request_body");
}

}  // namespace weir::proxy
