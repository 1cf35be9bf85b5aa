// The protocol of Redis (RESP): commands written, values read, by hiredis's formatter and reader.
//
// Thread safety: none of the reader; the rest is pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace weir::router {

struct RedisValue {
    enum class Kind : std::uint8_t { nil, integer, text, error, array };
    Kind kind = Kind::nil;
    std::int64_t integer = 0;
    std::string text;  ///< of texts (simple or bulk) and errors
    std::vector<RedisValue> elements;

    bool is_error() const noexcept { return kind == Kind::error; }
    /// The first word of an error, "NOSCRIPT", "MOVED" …; empty otherwise.
    std::string_view error_code() const noexcept;
};

/// Appends a command to `out`.
void append_command(std::span<const std::string> words, std::string& out);

/// Puts values together from bytes as they come.
class RedisReader {
 public:
    RedisReader();
    ~RedisReader();
    RedisReader(RedisReader&&) noexcept;
    RedisReader& operator=(RedisReader&&) noexcept;

    /// False once the stream is malformed, and ever after.
    bool feed(std::string_view bytes);

    /// The next complete value; empty if more bytes are needed, or the stream is malformed.
    std::optional<RedisValue> next();

    bool malformed() const noexcept { return malformed_; }

 private:
    struct Free {
        void operator()(redisReader* reader) const noexcept;
    };
    std::unique_ptr<redisReader, Free> reader_;
    bool malformed_ = false;
};

/// "MOVED 3999 127.0.0.1:6381" and "ASK …": where a hash slot is. The host is empty if it is that of the
/// answer.
struct RedisRedirect {
    bool ask = false;  ///< for this one command only
    std::string host;
    std::uint16_t port = 0;
};
std::optional<RedisRedirect> read_redirect(std::string_view error);

}  // namespace weir::router
