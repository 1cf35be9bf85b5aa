// Values of a JSON body that are not acted upon: each is checked to its last byte, so that what is admitted
// here is what the upstream reads, and the text of prompts is counted. Internal to request.cpp.
//
// Thread safety: pure.
#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "router/json_text.hpp"
#include "router/request.hpp"

namespace weir::router {

/// What a token of a prompt that is given as numbers counts for in RequestFacts::prompt_bytes.
inline constexpr std::uint64_t kBytesPerTokenId = 4;

/// How the strings of a value count.
enum class Count : std::uint8_t {
    nothing,
    text,    ///< prompt text; addresses and encoded media do not count by their length
    schema,  ///< tools: names count like values
};

inline bool is_media_key(std::string_view key) noexcept {
    return key == "url" || key == "image_url" || key == "data" || key == "file_data" ||
           key == "b64_json";
}

inline bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

inline std::string_view trimmed(std::string_view token) noexcept {
    while (!token.empty() && is_space(token.back())) token.remove_suffix(1);
    return token;
}

/// Every step returns false once `bad` is set.
class JsonWalk {
 public:
    /// `body` must stay.
    explicit JsonWalk(std::string_view body) : body_(body) {}

    BadRequest bad;
    std::uint64_t text_bytes = 0;  ///< of the strings that were to be counted

 protected:
    using error_code = simdjson::error_code;
    using Value = simdjson::ondemand::value;

    /// Checks a value to its last byte, and counts its text.
    bool walk(Value& value, int depth, Count count, bool media = false) {
        if (depth > kJsonDepthMax) {
            return fail_json(fmt::format("nested deeper than {} levels", kJsonDepthMax));
        }
        std::string_view token;
        if (!token_of(value, token)) return false;
        switch (token.front()) {
            case '{':
                return walk_object(value, depth, count);
            case '[':
                return walk_array(value, depth, count);
            case '"':
                return walk_string(value, token, count, media);
            default:
                break;
        }
        if (token == "true" || token == "false" || token == "null") return true;
        if (!is_json_number(token)) return fail_json("a value is not valid JSON");
        if (count == Count::text) text_bytes += kBytesPerTokenId;
        return true;
    }

    bool walk_object(Value& value, int depth, Count count) {
        simdjson::ondemand::object object;
        if (const auto e = value.get_object().get(object)) return malformed(e);
        for (auto result : object) {
            simdjson::ondemand::field field;
            std::string_view key;
            if (const auto e = std::move(result).get(field)) return malformed(e);
            if (const auto e = field.unescaped_key().get(key)) return malformed(e);
            if (count == Count::schema) text_bytes += key.size();
            const bool media = count == Count::text && is_media_key(key);
            if (!walk(field.value(), depth + 1, count, media)) return false;
        }
        return true;
    }

    bool walk_array(Value& value, int depth, Count count) {
        simdjson::ondemand::array array;
        if (const auto e = value.get_array().get(array)) return malformed(e);
        for (auto result : array) {
            Value item;
            if (const auto e = std::move(result).get(item)) return malformed(e);
            if (!walk(item, depth + 1, count)) return false;
        }
        return true;
    }

    bool walk_string(Value& value, std::string_view token, Count count, bool media) {
        if (token.size() < 2 || token.back() != '"') return fail_json("a string is not closed");
        // Taken, not left to be skipped: skipping would take "a":"b":1 for a key with a value.
        if (const auto e = value.get_raw_json_string().error()) return malformed(e);
        const auto bytes = unescaped_bytes(token.substr(1, token.size() - 2));
        if (!bytes) return fail_json("a string has a malformed escape");
        if (count != Count::nothing)
            text_bytes += media ? std::min(*bytes, kMediaPartBytes) : *bytes;
        return true;
    }

    /// The first token of a value, without white space behind it; never empty, and it may begin a
    /// value.
    bool token_of(Value& value, std::string_view& token) {
        token = trimmed(value.raw_json_token());
        constexpr std::string_view starts = "{[\"-0123456789tfn";
        return (!token.empty() && starts.find(token.front()) != std::string_view::npos) ||
               fail_json("a value is missing");
    }

    std::size_t offset(const char* at) const { return static_cast<std::size_t>(at - body_.data()); }

    bool fail(std::string message, std::string_view param) {
        bad = {std::move(message), param};
        return false;
    }
    bool fail_json(std::string_view why) {
        return fail(fmt::format("Invalid JSON payload: {}", why), "request_body");
    }
    bool malformed(error_code e) { return fail_json(simdjson::error_message(e)); }

    std::string_view body_;
};

}  // namespace weir::router
