#include "router/response_parser.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace weir::router {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";
constexpr unsigned kNoContent = 204;
constexpr unsigned kNotModified = 304;
constexpr unsigned kBadGateway = 502;
constexpr unsigned kStatusEnd = 600;  // RFC 9110, section 15: beyond it a status has no meaning

/// More digits than any body has bytes.
constexpr std::size_t kLengthDigitsMax = 18;

/// What may stand in a name (RFC 9110, section 5.6.2).
constexpr std::array<bool, 256> kToken = [] {
    std::array<bool, 256> token{};
    for (unsigned c = '0'; c <= '9'; ++c) token[c] = true;
    for (unsigned c = 'a'; c <= 'z'; ++c) token[c] = token[c - 32] = true;
    for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
        token[static_cast<unsigned char>(c)] = true;
    }
    return token;
}();

constexpr bool is_control(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

/// Whether one of the eight bytes at `at` is below 0x20 or 0x7f.
bool is_suspect(const char* at) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t tops = 0x8080808080808080;
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    const std::uint64_t low = word & ~tops;
    // No sum carries into the next byte: its top bit tells 0x20 and above, or 0x7f.
    return ((~(low + ones * 0x60) | (low + ones)) & ~word & tops) != 0;
}

/// Whether `text` has a control character other than a tab. Looks at eight bytes at once.
bool has_control(std::string_view text) noexcept {
    constexpr std::size_t eight = sizeof(std::uint64_t);
    const auto slowly = [text] { return std::any_of(text.begin(), text.end(), is_control); };
    if (text.size() < eight) return slowly();
    bool suspect = is_suspect(text.data() + text.size() - eight);
    for (std::size_t at = 0; at + eight < text.size(); at += eight) suspect |= is_suspect(text.data() + at);
    return suspect && slowly();
}

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// How many characters of a name `line` begins with.
std::size_t token_size(std::string_view line) noexcept {
    const auto end = std::find_if_not(line.begin(), line.end(),
                                      [](char c) { return kToken[static_cast<unsigned char>(c)]; });
    return static_cast<std::size_t>(end - line.begin());
}

/// Whether `line` is a name, a colon and a value without control characters.
bool is_field(std::string_view line, std::size_t name_size) noexcept {
    return name_size > 0 && name_size < line.size() && line[name_size] == ':' &&
           !has_control(line.substr(name_size + 1));
}

}  // namespace

void ResponseParser::reset() noexcept {
    head_bytes_ = 0;
    trailer_bytes_ = 0;
    error_ = {};
    forget_head();
}

void ResponseParser::go_on() noexcept { forget_head(); }

void ResponseParser::forget_head() noexcept {
    fields_.clear();
    scanned_ = connection_bytes_ = 0;
    length_ = left_ = 0;
    status_ = 0;
    state_ = State::head;
    part_ = Part::status_line;
    newer_ = true;
    has_length_ = chunked_ = says_close_ = says_keep_alive_ = bodiless_ = false;
}

std::optional<std::uint64_t> ResponseParser::content_length() const noexcept {
    if (!has_length_ || bodiless_) return std::nullopt;
    return length_;
}

bool ResponseParser::keep_alive() const noexcept {
    if (says_close_ || (!newer_ && !says_keep_alive_)) return false;
    // An answer without a body that announces one all the same: its sender may send it, too.
    const bool doubtful = status_ == kNoContent && (chunked_ || length_ > 0);
    return !doubtful && (bodiless_ || chunked_ || has_length_);
}

std::size_t ResponseParser::read(std::string_view bytes, Pieces& pieces) {
    std::size_t used = 0;
    while ((state_ == State::head || state_ == State::body) && used < bytes.size()) {
        const std::size_t step = read_part(bytes.substr(used), pieces);
        if (step == 0) break;
        used += step;
    }
    return used;
}

bool ResponseParser::end() noexcept {
    if (state_ == State::body && part_ == Part::until_end) finish();
    return state_ == State::done;
}

/// 0 if more bytes are needed, or if these are refused.
std::size_t ResponseParser::read_part(std::string_view bytes, Pieces& pieces) {
    switch (part_) {
        case Part::fixed:
        case Part::until_end:
        case Part::chunk_data:
            return read_data(bytes, pieces);
        case Part::chunk_end:
            return read_chunk_end(bytes);
        default:
            return read_line(bytes);
    }
}

std::size_t ResponseParser::read_line(std::string_view bytes) {
    const std::size_t limit = line_limit();
    const std::size_t feed = bytes.find('\n', scanned_);
    const std::size_t size = feed == std::string_view::npos ? bytes.size() : feed + 1;
    const std::string_view begin = bytes.substr(0, kVersion.size());
    if (part_ == Part::status_line && begin != kVersion.substr(0, begin.size())) {
        return refuse("it does not begin with HTTP/1.");
    }
    if (size > limit) {
        return refuse(part_ == Part::chunk_size ? "the line with a chunk's size is too long"
                      : part_ == Part::trailer  ? "its trailer is too large"
                                                : "its head is too large");
    }
    if (feed == std::string_view::npos) {
        scanned_ = bytes.size();
        return 0;
    }
    scanned_ = 0;
    if (feed == 0 || bytes[feed - 1] != '\r') return refuse("a line of it does not end with CR LF");
    if (part_ == Part::trailer) trailer_bytes_ += size;
    if (part_ == Part::status_line || part_ == Part::field) head_bytes_ += size;
    take_line(bytes.substr(0, feed - 1));
    return state_ == State::bad ? 0 : size;
}

/// How long the next line may be.
std::size_t ResponseParser::line_limit() const noexcept {
    if (part_ == Part::chunk_size) return kChunkLineMax;
    if (part_ == Part::trailer) return kTrailerBytesMax - trailer_bytes_;
    return kHeadBytesMax - head_bytes_;
}

void ResponseParser::take_line(std::string_view line) {
    switch (part_) {
        case Part::status_line:
            return take_status_line(line);
        case Part::field:
            return line.empty() ? end_head() : take_field(line);
        case Part::chunk_size:
            return take_chunk_size(line);
        default:
            return line.empty() ? finish() : take_trailer(line);
    }
}

/// "HTTP/1.1 200 OK", also without the reason, or without the blank before it.
void ResponseParser::take_status_line(std::string_view line) {
    const std::string_view rest = line.substr(kVersion.size());
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const bool shaped = rest.size() >= 5 && (rest[0] == '0' || rest[0] == '1') && rest[1] == ' ' &&
                        std::all_of(rest.begin() + 2, rest.begin() + 5, is_digit) &&
                        (rest.size() == 5 || rest[5] == ' ');
    if (!shaped || has_control(rest)) {
        refuse("its status line is not a version, three digits and a reason");
        return;
    }
    newer_ = rest[0] == '1';
    std::from_chars(rest.data() + 2, rest.data() + 5, status_);
    if (status_ < 100) {
        refuse("its status is below 100");
        return;
    }
    if (status_ >= kStatusEnd) status_ = kBadGateway;
    part_ = Part::field;
}

void ResponseParser::take_field(std::string_view line) {
    const std::size_t name_size = token_size(line);
    if (!is_field(line, name_size)) {
        const bool folded = line.front() == ' ' || line.front() == '\t';
        refuse(folded ? "a header field of it goes on in a second line"
                      : "a header field of it is malformed");
        return;
    }
    if (fields_.size() == kFieldsMax) {
        refuse("it has too many header fields");
        return;
    }
    const std::string_view name = line.substr(0, name_size);
    const std::string_view value = trimmed(line.substr(name_size + 1));
    fields_.add(name, value);
    take_framing(name, value);
}

/// What a field says about where the answer ends, and the connection with it.
void ResponseParser::take_framing(std::string_view name, std::string_view value) {
    constexpr std::string_view length = "content-length";
    constexpr std::string_view coding = "transfer-encoding";
    constexpr std::string_view connection = "connection";
    if (name.size() != length.size() && name.size() != coding.size() && name.size() != connection.size()) {
        return;
    }
    if (same_name(name, connection)) {
        take_connection(value);
    } else if (same_name(name, length)) {
        take_content_length(value);
    } else if (same_name(name, coding)) {
        if (chunked_ || !same_name(value, "chunked")) {
            refuse("its Transfer-Encoding is not chunked, once");
        }
        chunked_ = true;
    }
}

void ResponseParser::take_connection(std::string_view value) {
    connection_bytes_ += value.size();
    if (connection_bytes_ > kConnectionBytesMax) {
        refuse("its Connection fields are too large");
        return;
    }
    says_close_ |= has_token(value, "close");
    says_keep_alive_ |= has_token(value, "keep-alive");
}

void ResponseParser::take_content_length(std::string_view value) {
    if (has_length_) {
        refuse("it has two Content-Length fields");
        return;
    }
    has_length_ = true;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length_);
    const bool whole = error == std::errc() && end == value.data() + value.size();
    if (!whole || value.size() > kLengthDigitsMax) refuse("its Content-Length is not a number");
}

/// Where the body ends (RFC 9112, section 6.3).
void ResponseParser::end_head() {
    bodiless_ = status_ / 100 == 1 || status_ == kNoContent || status_ == kNotModified;
    if (status_ / 100 == 1) {
        state_ = State::interim;
        return;
    }
    if (chunked_ && has_length_) {
        refuse("it has a Content-Length beside its Transfer-Encoding");
        return;
    }
    if (chunked_ && !newer_) {
        refuse("it has a Transfer-Encoding in HTTP/1.0");
        return;
    }
    state_ = State::body;
    left_ = length_;
    part_ = chunked_ ? Part::chunk_size : has_length_ ? Part::fixed : Part::until_end;
    if (bodiless_ || (has_length_ && length_ == 0)) finish();
}

std::size_t ResponseParser::read_data(std::string_view bytes, Pieces& pieces) {
    if (part_ == Part::until_end) {
        pieces.push_back(bytes);
        return bytes.size();
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    pieces.push_back(bytes.substr(0, size));
    left_ -= size;
    if (left_ > 0) return size;
    if (part_ == Part::chunk_data) {
        part_ = Part::chunk_end;
    } else {
        finish();
    }
    return size;
}

std::size_t ResponseParser::read_chunk_end(std::string_view bytes) {
    constexpr std::string_view end = "\r\n";
    const std::string_view there = bytes.substr(0, end.size());
    if (there != end.substr(0, there.size())) return refuse("a chunk of it is longer than its size");
    if (there.size() < end.size()) return 0;
    part_ = Part::chunk_size;
    return end.size();
}

/// "1a", with blanks and extensions behind it, which mean nothing to anybody.
void ResponseParser::take_chunk_size(std::string_view line) {
    constexpr int hexadecimal = 16;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), left_, hexadecimal);
    const std::string_view rest =
        trimmed(line.substr(static_cast<std::size_t>(end - line.data())));
    const bool sized = error == std::errc() && left_ >> 60 == 0;
    if (!sized || (!rest.empty() && rest.front() != ';') || has_control(rest)) {
        refuse("the size of a chunk is malformed");
        return;
    }
    part_ = left_ > 0 ? Part::chunk_data : Part::trailer;
}

/// Nobody is told of it: what was decided by the head must not change behind the body.
void ResponseParser::take_trailer(std::string_view line) {
    if (!is_field(line, token_size(line))) refuse("a field of its trailer is malformed");
}

std::size_t ResponseParser::refuse(std::string_view why) noexcept {
    error_ = why;
    state_ = State::bad;
    return 0;
}

}  // namespace weir::router
