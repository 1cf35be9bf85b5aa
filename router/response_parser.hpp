// Reads the answer of an upstream: one HTTP/1.1 response (RFC 9112), piece by piece.
//
// It refuses an answer whose end two readers could see at different places, and accepts small faults that
// cannot matter; docs/router.md has the table. It copies the header fields. It does not copy the body, but
// names its pieces where they lie in the caller's buffer.
//
// Thread safety: none. It needs neither a clock nor a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "router/fields.hpp"

namespace weir::router {

class ResponseParser {
 public:
    /// All heads of an answer together, those of interim answers included.
    static constexpr std::size_t kHeadBytesMax = 48u << 10;
    /// The fields of one head.
    static constexpr std::size_t kFieldsMax = 256;
    /// What the Connection fields of one head say: every other field is compared with each part of it.
    static constexpr std::size_t kConnectionBytesMax = 256;
    /// The line with the size of a chunk.
    static constexpr std::size_t kChunkLineMax = 4u << 10;
    /// All trailer fields together.
    static constexpr std::size_t kTrailerBytesMax = 8u << 10;

    /// Pieces of a body: views into what read() was given.
    using Pieces = std::vector<std::string_view>;

    enum class State : std::uint8_t {
        head,     ///< the head has not come to its end
        interim,  ///< a 1xx has; go_on() to read the answer that follows it
        body,     ///< the head is complete
        done,     ///< the answer is complete
        bad,      ///< error() says why; nothing more is read
    };

    /// Begins with another answer.
    void reset() noexcept;

    /// After an interim answer: another head follows.
    void go_on() noexcept;

    /// Reads on in `bytes`: all that has come and was not consumed. Appends to `pieces` what it finds of the
    /// body. Returns how many bytes it has consumed; it stops behind the head of an interim answer and
    /// behind the end of the answer.
    std::size_t read(std::string_view bytes, Pieces& pieces);

    /// The connection has ended, which is how some answers end: false if this one does not.
    bool end() noexcept;

    State state() const noexcept { return state_; }
    bool head_done() const noexcept { return state_ == State::body || state_ == State::done; }

    /// What is wrong with the answer; a text for people that lives for ever.
    std::string_view error() const noexcept { return error_; }

    /// 100 to 599, once the status line is read. 600 to 999 is read as 502.
    unsigned status() const noexcept { return status_; }

    /// Of the latest head.
    const Fields& fields() const noexcept { return fields_; }

    /// The announced length of the body; empty if there is none, or if a 204 or 304 says one.
    std::optional<std::uint64_t> content_length() const noexcept;

    /// Whether the connection can carry another exchange after this answer.
    bool keep_alive() const noexcept;

 private:
    enum class Part : std::uint8_t {
        status_line, field, fixed, until_end, chunk_size, chunk_data, chunk_end, trailer
    };

    std::size_t read_part(std::string_view bytes, Pieces& pieces);
    std::size_t read_line(std::string_view bytes);
    std::size_t read_data(std::string_view bytes, Pieces& pieces);
    std::size_t read_chunk_end(std::string_view bytes);
    std::size_t line_limit() const noexcept;
    void take_line(std::string_view line);
    void take_status_line(std::string_view line);
    void take_field(std::string_view line);
    void take_framing(std::string_view name, std::string_view value);
    void take_connection(std::string_view value);
    void take_content_length(std::string_view value);
    void end_head();
    void take_chunk_size(std::string_view line);
    void take_trailer(std::string_view line);
    void forget_head() noexcept;
    void finish() noexcept { state_ = State::done; }
    std::size_t refuse(std::string_view why) noexcept;

    Fields fields_;
    std::string_view error_;
    std::size_t head_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::size_t connection_bytes_ = 0;
    std::size_t scanned_ = 0;  // of the line at the front: it has no end up to there
    std::uint64_t left_ = 0;   // of the body or the chunk
    std::uint64_t length_ = 0;
    unsigned status_ = 0;
    State state_ = State::head;
    Part part_ = Part::status_line;
    bool newer_ = true;  // HTTP/1.1
    bool has_length_ = false;
    bool chunked_ = false;
    bool says_close_ = false;
    bool says_keep_alive_ = false;
    bool bodiless_ = false;
};

}  // namespace weir::router
