// Finds `usage` in an answer while its bytes are relayed, however they are cut into pieces, and
// takes the usage-only event out of a stream whose client did not ask for it.
//
// Neither keeps the answer: a scanner is some 100 bytes, a stripper holds back at most one small
// event. Malformed answers are harmless: nothing is found in them.
//
// Thread safety: an object belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::router {

/// What an answer says it used. Tokens.
struct Usage {
    std::uint64_t prompt_tokens = 0;      ///< also called input_tokens
    std::uint64_t completion_tokens = 0;  ///< also called output_tokens
    std::uint64_t total_tokens = 0;       ///< the sum, where the answer has no total
    std::uint64_t cached_tokens = 0;      ///< the part of prompt_tokens that came from a cache
};

/// How an answer is written: by its content-type, text/event-stream or anything else.
enum class AnswerKind : std::uint8_t { json, events };

/// Looks at the places where usage stands: at the top of a JSON answer or of a stream's event, and
/// one step below in `response` (responses API) or `message`. Of several, the latest value of each
/// number counts.
class UsageScanner {
 public:
    explicit UsageScanner(AnswerKind kind) noexcept : kind_(kind) {}

    /// The next bytes of the answer, of any number.
    void feed(std::string_view bytes) noexcept;

    /// Only from usage objects that came whole.
    std::optional<Usage> usage() const noexcept;

    /// Events with data so far, without [DONE]. 0 for a JSON answer.
    std::uint64_t events() const noexcept { return events_; }
    /// Events so far that carried generated text: with most upstreams about one token each.
    std::uint64_t content_events() const noexcept { return content_events_; }
    /// Bytes of generated text so far, as they are written in JSON. Streams only.
    std::uint64_t content_bytes() const noexcept { return content_bytes_; }
    /// Whether `data: [DONE]` was seen.
    bool done() const noexcept { return done_; }
    /// Whether an `error` that is not null was seen at the top of the answer or of an event.
    bool error_seen() const noexcept { return error_seen_; }

 private:
    friend class UsageStripper;

    enum class Mode : std::uint8_t { outside, string, escape, number, skip };
    enum class Line : std::uint8_t { start, data, other };
    enum class Key : std::uint8_t {
        other,
        usage,
        wrapper,
        error,
        choices,
        delta,
        text,
        prompt,
        completion,
        total,
        cached,
    };

    /// Takes bytes up to and with the end of an event, or all. Returns how many; `ended` says
    /// which.
    std::size_t feed_event(std::string_view bytes, bool& ended) noexcept;
    std::size_t feed_line_start(std::string_view bytes, bool& blank) noexcept;
    void feed_data(std::string_view bytes) noexcept;
    void end_event() noexcept;
    /// Whether the event that just ended has usage and an empty list of choices.
    bool last_was_usage_only() const noexcept { return last_was_usage_only_; }
    /// Whether the event under way is known to be more than usage.
    bool event_has_choices() const noexcept { return choices_filled_; }

    void feed_json(std::string_view bytes) noexcept;
    const char* step_outside(const char* at, const char* end) noexcept;
    const char* step_string(const char* at, const char* end) noexcept;
    const char* step_number(const char* at, const char* end) noexcept;
    const char* step_skip(const char* at, const char* end) noexcept;
    void begin_string() noexcept;
    void open(bool object) noexcept;
    bool may_hold_usage(bool object) const noexcept;
    void close() noexcept;
    void value_begins(char first) noexcept;
    void key_ends() noexcept;
    void keep_number() noexcept;
    void forget_document() noexcept;
    bool in_object() const noexcept { return depth_ < 64 && (objects_ >> depth_ & 1) != 0; }
    bool counts_text() const noexcept;
    static Key key_of(std::string_view key) noexcept;

    struct Numbers {
        std::optional<std::uint64_t> prompt, completion, total, cached;
    };

    AnswerKind kind_;
    // Lines of a stream.
    Line line_ = Line::start;
    std::uint8_t prefix_ = 0;       // matched bytes of "data:"
    std::uint8_t done_prefix_ = 0;  // matched bytes of "[DONE]"
    bool line_has_data_ = false;
    // The JSON document under way.
    Mode mode_ = Mode::outside;
    std::uint64_t depth_ = 0;
    std::uint64_t objects_ = 0;  // bit d: the container at depth d is an object
    bool expect_key_ = false;
    bool string_is_key_ = false;
    bool string_counts_ = false;
    Key root_ = Key::other;  // the key at depth 1
    Key key_ = Key::other;   // whose value comes next
    std::array<char, 20> key_text_{};
    std::uint8_t key_size_ = 0;  // beyond the array's size: too long to be of interest
    std::uint64_t usage_depth_ = 0;
    std::uint64_t skipped_ = 0;  // how deep within a container that is skipped; 0 if in none
    std::uint64_t number_ = 0;
    Numbers pending_;
    // The event under way, and the last one.
    bool event_has_data_ = false;
    bool event_has_text_ = false;
    bool event_is_done_ = false;
    bool event_has_usage_ = false;
    bool choices_seen_ = false;
    bool choices_filled_ = false;
    bool last_was_usage_only_ = false;
    // Findings.
    bool found_ = false;
    bool done_ = false;
    bool error_seen_ = false;
    Numbers numbers_;
    std::uint64_t events_ = 0;
    std::uint64_t content_events_ = 0;
    std::uint64_t content_bytes_ = 0;
};

/// Takes usage-only events (`"choices":[]` with a `usage` object) out of a stream; all other bytes
/// pass as they are, `"usage":null` included. Scans on the way, so the scanner must not be fed by
/// anyone else.
class UsageStripper {
 public:
    /// `scanner` is of kind events and outlives this.
    explicit UsageStripper(UsageScanner& scanner) noexcept : scanner_(scanner) {}

    /// What to send for the next bytes of the answer: `bytes` itself where nothing is taken out or
    /// held back, otherwise valid until the next call.
    std::string_view feed(std::string_view bytes);

    /// The answer is over: what was still held back. Valid until the next call.
    std::string_view finish();

 private:
    UsageScanner& scanner_;
    bool passing_ = false;  // the event under way is certainly not usage-only
    std::string held_;      // the event under way, as long as it may be
    std::string out_;
};

}  // namespace weir::router
