#include "fake_server/request_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

namespace weir::fake_server {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;
using Text = boost::beast::string_view;

std::string_view view(Text text) {
    return {text.data(), text.size()};
}

// What simdjson may read behind the end of a text, so that the body need not be copied for it.
constexpr std::size_t kPadding = 64;
// A sender's word for the length is believed up to here; beyond, memory grows with what arrives.
constexpr std::size_t kReserveMax = std::size_t{1} << 20;

}  // namespace

class RequestReader::Parser {
 public:
    explicit Parser(Request& request) : request_(request) {}

    void start(const Limits& limits) {
        machine_.emplace(request_);
        machine_->eager(true);
        machine_->header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
        machine_->body_limit(limits.body_bytes_max);
    }

    std::size_t put(std::string_view bytes, ErrorCode& error) {
        return machine_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    }

    bool complete() const { return machine_->is_done(); }
    bool header_complete() const { return machine_->is_header_done(); }
    bool keep_alive() const { return machine_->keep_alive(); }

 private:
    // Notes what the parser finds, in the sender's spelling and order.
    class Machine : public http::basic_parser<true> {
     public:
        explicit Machine(Request& request) : request_(request) {}

     private:
        void on_request_impl(http::verb, Text method, Text target, int version,
                             ErrorCode&) override {
            request_.method = view(method);
            request_.target = view(target);
            request_.version = version;
        }
        void on_response_impl(int, Text, int, ErrorCode&) override {}
        void on_field_impl(http::field, Text name, Text value, ErrorCode&) override {
            request_.add_field(view(name), view(value));
        }
        void on_header_impl(ErrorCode&) override {}
        void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) override {
            if (!length || *length == 0) return;
            const auto expected = static_cast<std::size_t>(*length);
            request_.body.reserve(std::min(expected, kReserveMax) + kPadding);
        }
        std::size_t on_body_impl(Text body, ErrorCode&) override {
            request_.body.append(body.data(), body.size());
            return body.size();
        }
        void on_chunk_header_impl(std::uint64_t, Text, ErrorCode&) override {}
        std::size_t on_chunk_body_impl(std::uint64_t, Text body, ErrorCode&) override {
            request_.body.append(body.data(), body.size());
            return body.size();
        }
        void on_finish_impl(ErrorCode&) override {}

        Request& request_;
    };

    Request& request_;
    std::optional<Machine> machine_;
};

RequestReader::RequestReader(const Limits& limits)
    : limits_(limits), parser_(std::make_unique<Parser>(request_)) {
    next();
}

RequestReader::~RequestReader() = default;

void RequestReader::next() {
    request_.clear();
    parser_->start(limits_);
    begun_ = continue_taken_ = false;
}

RequestReader::State RequestReader::feed(std::string_view& bytes) {
    begun_ = begun_ || !bytes.empty();
    while (!bytes.empty() && !parser_->complete()) {
        ErrorCode error;
        const std::size_t used = parser_->put(bytes, error);
        bytes.remove_prefix(used);
        if (error == http::error::need_more) {
            // The parser wants more at the end of its input; without progress it has seen it all.
            if (used == 0 || !parser_->header_complete()) break;
            continue;
        }
        if (error) {
            error_ = error.message();
            return State::bad;
        }
    }
    if (!parser_->complete()) return State::more;
    request_.keep_alive = parser_->keep_alive();
    return State::complete;
}

bool RequestReader::take_continue() {
    if (continue_taken_ || !parser_->header_complete() || parser_->complete()) return false;
    const auto expect = request_.find("expect");
    continue_taken_ = expect && same_name(*expect, "100-continue");
    return continue_taken_;
}

}  // namespace weir::fake_server
