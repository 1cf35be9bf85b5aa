#include "router/usage.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace weir::router {
namespace {

constexpr std::string_view kData = "data:";
constexpr std::string_view kDone = "[DONE]";
/// Above any true count of tokens, and far from overflow when summed.
constexpr std::uint64_t kNumberMax = std::uint64_t{1} << 48;

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

constexpr auto kEndsSkipping = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("\"{}[]")) table[static_cast<unsigned char>(c)] = true;
    return table;
}();

/// The first quote or backslash in [at, end), or `end`. Eight bytes at a time: strings are most of
/// an answer. Of the marks that the subtraction leaves the lowest is exact, and that is the first byte's:
/// only little-endian machines are built for.
const char* find_string_special(const char* at, const char* end) noexcept {
    static_assert(std::endian::native == std::endian::little);
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t tops = 0x8080808080808080;
    const auto zero_bytes = [](std::uint64_t word) { return (word - ones) & ~word & tops; };
    while (end - at >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof word);
        const std::uint64_t marks = zero_bytes(word ^ (ones * '"')) | zero_bytes(word ^ (ones * '\\'));
        if (marks != 0) return at + std::countr_zero(marks) / 8;
        at += 8;
    }
    while (at != end && *at != '"' && *at != '\\') ++at;
    return at;
}

/// The quote that ends the string in which `at` is, or `end` if it does not come as a whole.
const char* find_string_end(const char* at, const char* end) noexcept {
    for (at = find_string_special(at, end); at != end && *at == '\\';) {
        if (end - at < 2) return end;
        at = find_string_special(at + 2, end);
    }
    return at;
}

}  // namespace

void UsageScanner::feed(std::string_view bytes) noexcept {
    if (kind_ == AnswerKind::json) {
        feed_json(bytes);
        return;
    }
    bool ended = false;
    while (!bytes.empty()) bytes.remove_prefix(feed_event(bytes, ended));
}

std::optional<Usage> UsageScanner::usage() const noexcept {
    if (!found_) return std::nullopt;
    Usage usage;
    usage.prompt_tokens = numbers_.prompt.value_or(0);
    usage.completion_tokens = numbers_.completion.value_or(0);
    usage.total_tokens = numbers_.total.value_or(usage.prompt_tokens + usage.completion_tokens);
    usage.cached_tokens = numbers_.cached.value_or(0);
    return usage;
}

// --- lines and events
// ---------------------------------------------------------------------------------

std::size_t UsageScanner::feed_event(std::string_view bytes, bool& ended) noexcept {
    ended = false;
    std::size_t at = 0;
    while (at < bytes.size()) {
        if (line_ == Line::start) {
            at += feed_line_start(bytes.substr(at), ended);
            if (ended) {
                end_event();
                return at;
            }
            continue;
        }
        const auto newline = bytes.find('\n', at);
        const bool whole = newline != std::string_view::npos;
        const auto line_end = whole ? newline : bytes.size();
        if (line_ == Line::data) feed_data(bytes.substr(at, line_end - at));
        at = line_end;
        if (!whole) break;
        line_ = Line::start;
        prefix_ = 0;
        ++at;
    }
    return at;
}

/// Takes what decides of which kind a line is. An empty line ends the event; a CR before its LF is
/// no content.
std::size_t UsageScanner::feed_line_start(std::string_view bytes, bool& blank) noexcept {
    std::size_t at = 0;
    for (; at < bytes.size(); ++at) {
        const char c = bytes[at];
        if (c == '\n') {
            blank = prefix_ == 0;
            prefix_ = 0;
            return at + 1;
        }
        if (c == '\r' && prefix_ == 0) continue;
        if (c != kData[prefix_]) {
            line_ = Line::other;
            return at;
        }
        if (++prefix_ == kData.size()) {
            line_ = Line::data;
            done_prefix_ = 0;
            line_has_data_ = false;
            return at + 1;
        }
    }
    return at;
}

void UsageScanner::feed_data(std::string_view bytes) noexcept {
    for (std::size_t i = 0; done_prefix_ < kDone.size() && i < bytes.size(); ++i) {
        if (!line_has_data_ && is_space(bytes[i])) continue;
        line_has_data_ = true;
        if (bytes[i] != kDone[done_prefix_]) {
            done_prefix_ = kDone.size() + 1;
        } else if (++done_prefix_ == kDone.size()) {
            done_ = true;
            event_is_done_ = true;
        }
    }
    event_has_data_ = event_has_data_ || line_has_data_;
    feed_json(bytes);
}

void UsageScanner::end_event() noexcept {
    if (event_has_data_ && !event_is_done_) ++events_;
    if (event_has_text_) ++content_events_;
    last_was_usage_only_ = event_has_usage_ && choices_seen_ && !choices_filled_;
    event_has_data_ = event_has_text_ = event_is_done_ = event_has_usage_ = false;
    choices_seen_ = choices_filled_ = false;
    forget_document();
}

// --- JSON
// ---------------------------------------------------------------------------------------------

void UsageScanner::feed_json(std::string_view bytes) noexcept {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while (at != end) {
        switch (mode_) {
            case Mode::outside:
                at = step_outside(at, end);
                break;
            case Mode::string:
                at = step_string(at, end);
                break;
            case Mode::number:
                at = step_number(at, end);
                break;
            case Mode::skip:
                at = step_skip(at, end);
                break;
            case Mode::escape:
                ++at;
                mode_ = Mode::string;
                break;
        }
    }
}

const char* UsageScanner::step_outside(const char* at, const char* end) noexcept {
    while (at != end) {
        const char c = *at++;
        switch (c) {
            case ':':
            case ' ':
            case '\t':
            case '\n':
            case '\r':
                break;
            case ',':
                expect_key_ = in_object();
                key_ = Key::other;
                break;
            case '"':
                if (depth_ == 0) break;  // not an answer of ours
                begin_string();
                return at;
            case '{':
            case '[':
                open(c == '{');
                if (mode_ == Mode::skip) return at;
                break;
            case '}':
            case ']':
                close();
                break;
            default:
                if (usage_depth_ != 0 && key_ >= Key::prompt && is_digit(c)) {
                    number_ = 0;
                    mode_ = Mode::number;
                    return at - 1;
                }
                value_begins(c);
                key_ = Key::other;  // the rest of this number or word means nothing
                while (at != end && (is_digit(*at) || *at == '.')) ++at;
        }
    }
    return at;
}

void UsageScanner::begin_string() noexcept {
    mode_ = Mode::string;
    string_is_key_ = expect_key_;
    expect_key_ = false;
    key_size_ = 0;
    if (string_is_key_) return;
    value_begins('"');
    string_counts_ = counts_text();
}

const char* UsageScanner::step_string(const char* at, const char* end) noexcept {
    const char* const stop = find_string_special(at, end);
    const auto size = static_cast<std::size_t>(stop - at);
    if (string_is_key_) {
        if (size + key_size_ <= key_text_.size()) {
            std::memcpy(key_text_.data() + key_size_, at, size);
            key_size_ = static_cast<std::uint8_t>(key_size_ + size);
        } else {
            key_size_ = static_cast<std::uint8_t>(key_text_.size() + 1);
        }
    } else if (string_counts_) {
        content_bytes_ += size;
        event_has_text_ = event_has_text_ || size > 0;
    }
    if (stop == end) return end;
    if (*stop == '\\') {
        mode_ = Mode::escape;
        if (string_is_key_) key_size_ = static_cast<std::uint8_t>(key_text_.size() + 1);
        if (string_counts_ && !string_is_key_) {
            content_bytes_ += 1;
            event_has_text_ = true;
        }
        return stop + 1;
    }
    mode_ = skipped_ == 0 ? Mode::outside : Mode::skip;
    if (string_is_key_) key_ends();
    return stop + 1;
}

/// Of what is skipped only the ends of containers count, and strings, for those may look like them.
const char* UsageScanner::step_skip(const char* at, const char* end) noexcept {
    while (at != end) {
        const char c = *at++;
        if (!kEndsSkipping[static_cast<unsigned char>(c)]) continue;
        if (c == '"') {
            const char* const stop = find_string_end(at, end);
            if (stop == end) {  // it goes on in the next piece
                mode_ = Mode::string;
                string_is_key_ = string_counts_ = false;
                return at;
            }
            at = stop + 1;
        } else if (c == '{' || c == '[') {
            ++skipped_;
        } else if (--skipped_ == 0) {
            mode_ = Mode::outside;
            return at;
        }
    }
    return at;
}

const char* UsageScanner::step_number(const char* at, const char* end) noexcept {
    for (; at != end && is_digit(*at); ++at) {
        number_ = std::min(number_ * 10 + static_cast<std::uint64_t>(*at - '0'), kNumberMax);
    }
    if (at == end) return end;
    keep_number();
    mode_ = Mode::outside;
    return at;
}

void UsageScanner::keep_number() noexcept {
    const bool direct = depth_ == usage_depth_;
    switch (key_) {
        case Key::prompt:
            if (direct) pending_.prompt = number_;
            break;
        case Key::completion:
            if (direct) pending_.completion = number_;
            break;
        case Key::total:
            if (direct) pending_.total = number_;
            break;
        case Key::cached:
            pending_.cached = number_;
            break;
        default:
            break;
    }
    key_ = Key::other;
}

void UsageScanner::open(bool object) noexcept {
    if (depth_ > 0) value_begins(object ? '{' : '[');
    const bool at_usage =
        key_ == Key::usage && object && (depth_ == 1 || (depth_ == 2 && root_ == Key::wrapper));
    if (depth_ == 1 && key_ == Key::choices && !object) choices_seen_ = true;
    if (!may_hold_usage(object)) {
        mode_ = Mode::skip;
        skipped_ = 1;
        expect_key_ = false;
        key_ = Key::other;
        return;
    }
    ++depth_;
    if (depth_ < 64) {
        const std::uint64_t bit = std::uint64_t{1} << depth_;
        objects_ = object ? objects_ | bit : objects_ & ~bit;
    }
    expect_key_ = object && depth_ < 64;
    key_ = Key::other;
    if (at_usage && usage_depth_ == 0) {
        usage_depth_ = depth_;
        pending_ = {};
    }
}

/// Whether there is anything to find in the container that opens. In events there is also text to count.
bool UsageScanner::may_hold_usage(bool object) const noexcept {
    if (kind_ == AnswerKind::events || depth_ == 0 || usage_depth_ != 0) return true;
    if (!object) return false;
    if (depth_ == 1) return key_ == Key::usage || key_ == Key::wrapper;
    return depth_ == 2 && root_ == Key::wrapper && key_ == Key::usage;
}

void UsageScanner::close() noexcept {
    if (depth_ == 0) return;
    if (depth_ == usage_depth_) {
        usage_depth_ = 0;
        found_ = event_has_usage_ = true;
        if (pending_.prompt) numbers_.prompt = pending_.prompt;
        if (pending_.completion) numbers_.completion = pending_.completion;
        // A part that comes alone makes an older total untrue.
        if (pending_.total || pending_.prompt || pending_.completion)
            numbers_.total = pending_.total;
        if (pending_.cached) numbers_.cached = pending_.cached;
    }
    --depth_;
    expect_key_ = false;
    key_ = Key::other;
    if (depth_ == 0) forget_document();
}

/// Any value but a key, with its first byte.
void UsageScanner::value_begins(char first) noexcept {
    if (depth_ == 1 && key_ == Key::error && first != 'n') error_seen_ = true;
    if (depth_ == 2 && root_ == Key::choices) choices_filled_ = true;
}

void UsageScanner::key_ends() noexcept {
    key_ = key_size_ <= key_text_.size() ? key_of({key_text_.data(), key_size_}) : Key::other;
    if (depth_ == 1) root_ = key_;
}

bool UsageScanner::counts_text() const noexcept {
    if (kind_ != AnswerKind::events) return false;
    if (root_ == Key::choices) return key_ == Key::text;
    return root_ == Key::delta && (depth_ == 1 || key_ == Key::text);
}

void UsageScanner::forget_document() noexcept {
    mode_ = Mode::outside;
    depth_ = 0;
    objects_ = 0;
    usage_depth_ = 0;
    skipped_ = 0;
    expect_key_ = false;
    root_ = key_ = Key::other;
}

UsageScanner::Key UsageScanner::key_of(std::string_view key) noexcept {
    const auto pick = [&](std::string_view text, Key then, Key otherwise = Key::other) {
        return key == text ? then : otherwise;
    };
    switch (key.size()) {
        case 4:
            return pick("text", Key::text);
        case 5:
            return pick("usage", Key::usage, pick("delta", Key::delta, pick("error", Key::error)));
        case 7:
            return pick("choices", Key::choices,
                        pick("content", Key::text,
                             pick("message", Key::wrapper, pick("refusal", Key::text))));
        case 8:
            return pick("response", Key::wrapper, pick("thinking", Key::text));
        case 9:
            return pick("arguments", Key::text, pick("reasoning", Key::text));
        case 12:
            return pick("total_tokens", Key::total,
                        pick("input_tokens", Key::prompt, pick("partial_json", Key::text)));
        case 13:
            return pick("prompt_tokens", Key::prompt,
                        pick("output_tokens", Key::completion, pick("cached_tokens", Key::cached)));
        case 17:
            return pick("completion_tokens", Key::completion, pick("reasoning_content", Key::text));
        default:
            return Key::other;
    }
}

}  // namespace weir::router
