#include "proxy/answer_writer.hpp"

#include <fmt/format.h>

#include <iterator>

namespace weir::proxy {

namespace asio = router::asio;
using router::Call;
using router::Task;
using router::TransportError;

namespace {

constexpr std::string_view kEventStream = "text/event-stream";

std::string milliseconds(shm::Nanos duration) {
    const auto micros = duration.count() / 1000;
    return fmt::format("{}.{:03}", micros / 1000, micros % 1000);
}

}  // namespace

void AnswerWriter::begin(const Terms& terms) noexcept {
    terms_ = terms;
    begun_ = false;
    out_.clear();
}

Task<void> AnswerWriter::write(const PlainAnswer& answer, std::string_view own_fields,
                               Served& served) {
    served.status = answer.status;
    served.bytes_out = answer.body.size();
    HeadWriter head(out_, answer.status);
    head.field("content-type", answer.content_type);
    out_ += own_fields;
    for (const auto& [name, value] : answer.fields) head.field(name, value);
    head.field("content-length", answer.body.size());
    append_end(head);
    if (!terms_.head_only) out_ += answer.body;
    pieces_.assign(1, asio::buffer(out_));
    if (!co_await write_out()) end_connection();
}

Task<void> AnswerWriter::relay(Call& call, std::string_view own_fields, Served& served) {
    const router::Exchange& answer = call.answer();
    TransportError failure = TransportError::none;
    // The head of a short answer waits for its body, to be written in one go.
    const bool wait = call.content_length() > 0 && call.pieces().empty() && !answer.done();
    if (wait) failure = co_await call.next();
    if (failure != TransportError::none) {
        co_return co_await write(to_answer(router::broken_off(failure, answer.reason())), own_fields, served);
    }
    const bool chunked = append_relayed_head(call, own_fields);
    served.status = answer.status();

    bool written = co_await write_pieces(call, chunked, served);
    while (written && !answer.done()) {
        failure = co_await call.next();
        if (failure != TransportError::none) break;
        written = co_await write_pieces(call, chunked, served);
    }
    if (!written) call.abort();
    if (written && failure != TransportError::none) co_await break_off(call, failure, chunked);
    if (!written || failure != TransportError::none) end_connection();
}

/// The last line says what the client would not take for granted: an HTTP/1.0 one does not expect that the
/// connection stays, a newer one does.
void AnswerWriter::append_end(HeadWriter& head) const {
    if (!terms_.keep_alive) head.field("connection", "close");
    if (terms_.keep_alive && !terms_.chunks) head.field("connection", "keep-alive");
    head.end();
}

/// Returns whether the body goes in chunks.
bool AnswerWriter::append_relayed_head(const Call& call, std::string_view own_fields) {
    const router::Exchange& answer = call.answer();
    const std::int64_t length = call.content_length();
    const bool has_body = answer.status() != 204 && answer.status() != 304 && length != 0;
    const bool chunked = has_body && length < 0 && terms_.chunks;
    if (has_body && length < 0 && !chunked) end_connection();  // the end of the connection ends it
    HeadWriter head(out_, answer.status());
    relay_fields(answer.fields(), head);
    if (answer.status() == 429) append_retry_after(answer.fields(), head);
    out_ += own_fields;
    if (answer.status() < 400) {
        head.field("x-litellm-response-duration-ms", milliseconds(call.came_at() - terms_.began));
    }
    if (chunked) head.field("transfer-encoding", "chunked");
    if (length >= 0) head.field("content-length", static_cast<std::uint64_t>(length));
    append_end(head);
    return chunked;
}

/// Writes what stands in out_, the pieces that have come, and the end if it is there.
Task<bool> AnswerWriter::write_pieces(Call& call, bool chunked, Served& served) {
    std::size_t bytes = 0;
    for (const asio::const_buffer& piece : call.pieces()) bytes += piece.size();
    pieces_.clear();
    if (chunked && bytes > 0) fmt::format_to(std::back_inserter(out_), "{:x}\r\n", bytes);
    if (!out_.empty()) pieces_.push_back(asio::buffer(out_));
    pieces_.insert(pieces_.end(), call.pieces().begin(), call.pieces().end());
    static constexpr std::string_view kChunkEnd = "\r\n";
    static constexpr std::string_view kLastChunk = "0\r\n\r\n";
    if (chunked && bytes > 0) pieces_.push_back(asio::buffer(kChunkEnd));
    if (chunked && call.answer().done()) pieces_.push_back(asio::buffer(kLastChunk));
    served.bytes_out += bytes;
    return write_out();
}

/// The upstream has failed in the midst of an answer. A stream of events can still say so.
Task<void> AnswerWriter::break_off(Call& call, TransportError failure, bool chunked) {
    const std::string_view type = call.answer().fields().get("content-type");
    if (type.substr(0, kEventStream.size()) != kEventStream) co_return;  // only the cut tells
    // The upstream may have stopped within a line.
    const router::ApiError error = router::broken_off(failure, call.answer().reason());
    const std::string event = fmt::format("\n\ndata: {}\n\n", router::to_json(error));
    out_ = chunked ? fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", event.size(), event) : event;
    pieces_.assign(1, asio::buffer(out_));
    co_await write_out();
}

/// Writes pieces_, and empties out_.
Task<bool> AnswerWriter::write_out() {
    if (pieces_.empty()) co_return true;
    begun_ = true;
    connection_.set_deadline(shm::coarse_now() + terms_.write_timeout);
    const router::ErrorCode error = co_await connection_.write(pieces_);
    connection_.clear_deadline();
    out_.clear();
    co_return !error;
}

}  // namespace weir::proxy
