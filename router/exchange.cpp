#include "router/exchange.hpp"

#include <optional>

#include "router/http_parser.hpp"

namespace weir::router {
namespace {

/// The head of an answer must fit into a connection's largest buffer anyway.
constexpr std::uint32_t kHeadBytesMax = 48u << 10;

}  // namespace

/// What is known of the answer so far; apart, so that Beast stays out of the header.
class ResponseReader {
 public:
    void reset(std::vector<asio::const_buffer>& pieces) {
        parser.emplace(head, pieces, kHeadBytesMax);
    }
    MessageHead head;
    std::optional<HttpParser<false>> parser;
};

Exchange::Exchange(Upstream& upstream)
    : upstream_(upstream), reader_(std::make_unique<ResponseReader>()) {}

// Only here is the connection handed back: the last pieces of the body lie in its buffer.
Exchange::~Exchange() {
    const bool keep = reusable();
    upstream_.release(std::move(connection_), keep);
}

bool Exchange::reusable() const noexcept {
    return connection_ && done_ && sent_whole_ && !aborted_ && connection_->unread().size() == 0 &&
           reader_->parser->keep_alive();
}

unsigned Exchange::status() const noexcept { return reader_->head.status; }
const Fields& Exchange::fields() const noexcept { return reader_->head.fields; }

std::int64_t Exchange::content_length() const noexcept {
    const auto length = reader_->parser->content_length();
    return length ? static_cast<std::int64_t>(*length) : -1;
}

Task<TransportError> Exchange::start(std::span<const asio::const_buffer> request,
                                     shm::Nanos deadline, bool fresh) {
    if (!fresh) connection_ = upstream_.take_idle();  // most often there is one, and nothing to wait for
    if (!connection_) {
        auto acquired = co_await upstream_.acquire(fresh, deadline);
        if (acquired.error != TransportError::none) co_return acquired.error;
        connection_ = std::move(acquired.connection);
    }
    if (aborted_) co_return TransportError::connect;  // nothing was sent
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    reader_->reset(pieces_);
    pieces_.clear();
    // An upstream may answer and close before it has read everything: listen all the same.
    sent_whole_ = !co_await connection_->write(request);
    if (connection_->expired()) co_return TransportError::first_byte_timeout;
    co_return co_await read_head();
}

Task<TransportError> Exchange::read_head() {
    while (!reader_->parser->is_header_done()) {
        if (const ErrorCode error = co_await connection_->read_some()) {
            if (connection_->expired()) co_return TransportError::first_byte_timeout;
            if (error == asio::error::no_buffer_space) co_return TransportError::malformed;
            co_return reader_->parser->got_some() ? TransportError::broken : TransportError::closed;
        }
        if (const auto error = parse(); error != TransportError::none) co_return error;
        const bool interim = reader_->parser->is_header_done() && status() / 100 == 1;
        if (interim) reader_->reset(pieces_);  // 100 and 103 only announce the answer
    }
    connection_->clear_deadline();
    co_return TransportError::none;
}

TransportError Exchange::parse() {
    auto& parser = *reader_->parser;
    while (connection_->unread().size() > 0 && !parser.is_done()) {
        ErrorCode error;
        connection_->consume(parser.put(connection_->unread(), error));
        if (error == boost::beast::http::error::need_more) break;
        if (error) return TransportError::malformed;
        if (parser.is_header_done() && status() / 100 == 1) return TransportError::none;
    }
    done_ = parser.is_done();
    return TransportError::none;
}

Task<TransportError> Exchange::next(shm::Nanos deadline) {
    pieces_.clear();
    if (done_) co_return TransportError::none;
    connection_->reset_expired();
    connection_->set_deadline(deadline);
    while (pieces_.empty() && !done_) {
        if (const ErrorCode error = co_await connection_->read_some()) {
            if (connection_->expired()) co_return TransportError::stalled;
            ErrorCode incomplete;
            if (error == asio::error::eof) reader_->parser->put_eof(incomplete);
            if (error != asio::error::eof || incomplete) co_return TransportError::broken;
            done_ = true;  // its end was the connection's
            break;
        }
        if (const auto error = parse(); error != TransportError::none) co_return error;
    }
    connection_->clear_deadline();
    co_return TransportError::none;
}

void Exchange::abort() noexcept {
    aborted_ = true;
    if (connection_) connection_->close();
}

}  // namespace weir::router
