// Beast's HTTP/1.1 parser, made to copy as little as possible: fields go into one reused Fields,
// and the body is never copied but named, piece by piece, where it lies in the caller's buffer.
//
// Framing errors that can be used to smuggle requests (several lengths, a length beside chunks) are
// Beast's to refuse, and it does.
//
// Include it from few .cpp files: Beast is slow to compile.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <vector>

#include "router/fields.hpp"

namespace weir::router {

/// The head of a request or of a response.
struct MessageHead {
    Fields fields;
    std::string method;   ///< of a request
    std::string target;   ///< of a request
    unsigned status = 0;  ///< of a response
    unsigned version = 11;
};

/// Parses one message into `head`, and names the pieces of its body in `body`. Not reusable: make
/// another for the next message.
template <bool is_request>
class HttpParser : public boost::beast::http::basic_parser<is_request> {
    using string_view = boost::beast::string_view;
    using ErrorCode = boost::beast::error_code;

 public:
    HttpParser(MessageHead& head, std::vector<boost::asio::const_buffer>& body,
               std::uint32_t head_bytes_max)
        : head_(head), body_(body) {
        head_.fields.clear();
        this->eager(true);
        this->header_limit(head_bytes_max);
        this->body_limit(boost::none);
    }

 private:
    static std::string_view plain(string_view text) { return {text.data(), text.size()}; }

    void on_request_impl(boost::beast::http::verb, string_view method, string_view target, int version,
                         ErrorCode&) override {
        head_.method.assign(method.data(), method.size());
        head_.target.assign(target.data(), target.size());
        head_.version = static_cast<unsigned>(version);
    }
    void on_response_impl(int status, string_view, int version, ErrorCode&) override {
        head_.status = static_cast<unsigned>(status);
        head_.version = static_cast<unsigned>(version);
    }
    void on_field_impl(boost::beast::http::field, string_view name, string_view value,
                       ErrorCode&) override {
        // Trailers come this way too; a decision that was made on the head must not change.
        if (!this->is_header_done()) head_.fields.add(plain(name), plain(value));
    }
    void on_header_impl(ErrorCode&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(string_view body, ErrorCode&) override { return keep(body); }
    void on_chunk_header_impl(std::uint64_t, string_view, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, ErrorCode&) override {
        return keep(body);
    }
    void on_finish_impl(ErrorCode&) override {}

    std::size_t keep(string_view body) {
        if (!body.empty()) body_.emplace_back(body.data(), body.size());
        return body.size();
    }

    MessageHead& head_;
    std::vector<boost::asio::const_buffer>& body_;
};

}  // namespace weir::router
