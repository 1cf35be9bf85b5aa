// What a client's JSON body says that routing and admission need to know. Nothing is re-serialised:
// spliced_body.hpp makes of the same bytes what the upstream gets.
//
// The body is checked whole, so that what is admitted here is what the upstream reads. A field that
// is acted upon may stand there once only: of two "model" fields one parser takes the first and
// another the last. For the same reason a key that is "model" in other letter case is refused.
//
// Thread safety: a RequestReader belongs to one thread; everything else is values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "router/api_error.hpp"
#include "router/own_fallbacks.hpp"

namespace weir::router {

/// Bytes [begin, end) of a body.
struct ByteRange {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool empty() const noexcept { return begin == end; }
};

/// The most fields of a body that are meant for the router alone; see RequestFacts::own_fields.
inline constexpr std::size_t kOwnFieldsMax = 16;

/// The most tags that a request may have.
inline constexpr std::size_t kTagsMax = 32;

/// The nesting that a body may have.
inline constexpr int kJsonDepthMax = 512;

/// What an image, a sound or a file inside a prompt counts for in RequestFacts::prompt_bytes.
inline constexpr std::uint64_t kMediaPartBytes = 3000;

/// A multipart/form-data body as the upstream gets it (multipart.hpp).
struct FormText {
    struct Part {
        std::string head;       ///< boundary, fields and the empty line
        ByteRange content;      ///< of the client's body, with the line end behind it
        bool is_model = false;  ///< the model's name goes in the place of the content
    };
    std::string content_type;
    std::vector<Part> parts;
    std::string end;  ///< the closing boundary
};

struct RequestFacts {
    std::string model;      ///< unescaped; empty only where ModelIn::path allowed it to be absent
    ByteRange model_value;  ///< its JSON value, quotes included; empty if absent

    bool stream = false;
    bool has_stream_options = false;  ///< an object, not null
    bool include_usage = false;       ///< stream_options.include_usage is true
    ByteRange usage_place;            ///< replace these bytes by `usage_text` ...
    std::string_view usage_text;      ///< ... to ask for usage; static storage

    std::optional<std::uint64_t>
        max_tokens;       ///< the largest of max_tokens, max_completion_tokens, max_output_tokens
    std::uint64_t n = 1;  ///< answers to generate: the larger of n and best_of; 1 or more
    std::string user;     ///< empty if absent
    std::uint64_t prompt_bytes = 0;  ///< text of messages, prompt, input, instructions, tools
    bool has_messages = false;       ///< "messages" is there and is a list

    std::vector<std::string> tags;  ///< of "tags" and of "metadata"

    // Fields for the router, which an upstream would refuse; `splice` leaves them out.
    std::optional<std::uint8_t> priority;   ///< 0 .. 255, lower first; values beyond are clamped
    std::optional<double> timeout_seconds;  ///< "timeout", > 0
    std::optional<double> stream_timeout_seconds;  ///< "stream_timeout", > 0; goes before, for streams
    std::optional<double>
        max_wait_seconds;  ///< "max_wait_seconds", >= 0: how long to wait for capacity
    std::optional<std::uint32_t> num_retries;   ///< "num_retries", 0 .. 100
    std::optional<OwnFallbacks> own_fallbacks;  ///< "fallbacks" and the like
    std::vector<ByteRange> own_fields;  ///< whole members with one comma, in order; at most kOwnFieldsMax

    std::optional<FormText> form;  ///< set for multipart/form-data, where `own_fields` stays empty

    std::size_t members_begin = 0;  ///< just after the opening brace
    bool has_members = false;       ///< whether anything but own fields is in the object
};

/// Why a body is refused: a 400.
struct BadRequest {
    std::string message;
    std::string_view param;  ///< the field at fault, or "request_body"; static storage
};

/// `bad` for the client.
ApiError to_error(const BadRequest& bad);

/// Where the name of the model is: paths such as /engines/{model}/… make it optional in the body.
enum class ModelIn : std::uint8_t { body, path };

/// Reads bodies, one after the other, with buffers that are kept between them (up to 1 MiB of
/// body).
class RequestReader {
 public:
    RequestReader();
    ~RequestReader();
    RequestReader(RequestReader&&) noexcept;
    RequestReader& operator=(RequestReader&&) noexcept;

    /// Any bytes are allowed. What is returned refers neither to `body` nor to this reader.
    std::variant<RequestFacts, BadRequest> read(std::string_view body,
                                                ModelIn where = ModelIn::body);

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Reads one body with a reader of its own: for tests and for where speed does not matter.
std::variant<RequestFacts, BadRequest> read_request(std::string_view body,
                                                    ModelIn where = ModelIn::body);

}  // namespace weir::router
