// Reads a client's requests, one after the other, within limits of size and time.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/api_error.hpp"
#include "router/config.hpp"
#include "router/connection.hpp"
#include "router/http_parser.hpp"

namespace weir::proxy {

class Intake {
 public:
    /// `connection` must outlive it.
    explicit Intake(router::Connection& connection) : connection_(connection) {}
    Intake(const Intake&) = delete;
    Intake& operator=(const Intake&) = delete;

    enum class Result : std::uint8_t {
        ready,    ///< what was asked for is there
        gone,     ///< the client has left, or was idle for too long: nobody to answer
        refused,  ///< refusal() says why; the rest of the request will not be read
    };

    /// Waits for the head of the next request. The limits are a copy: while a connection is idle a reload may
    /// take the configuration away that they came from.
    router::Task<Result> read_head(router::ClientSettings limits);

    /// Reads the body that belongs to it. A client that asks first is told to go on.
    router::Task<Result> read_body(const router::ClientSettings& limits, std::uint64_t bytes_max);

    /// Whether nothing of a next request has come.
    bool idle() const noexcept { return idle_; }

    /// Good until the next read_head.
    const router::MessageHead& head() const noexcept { return head_; }
    std::string_view body() const noexcept { return body_; }
    const router::ApiError& refusal() const noexcept { return refusal_; }

    /// Whether the client wants to send another request afterwards.
    bool keep_alive() const { return parser_->keep_alive(); }

 private:
    bool take_body(std::uint64_t bytes_max);
    Result refuse(unsigned status, std::string message, std::string param);
    Result too_large(std::uint64_t bytes_max);

    router::Connection& connection_;
    router::MessageHead head_;
    std::optional<router::HttpParser<true>> parser_;
    std::vector<router::asio::const_buffer>
        pieces_;  // of the body, where they lie in the connection
    std::string body_;
    router::ApiError refusal_;
    bool idle_ = true;
};

}  // namespace weir::proxy
