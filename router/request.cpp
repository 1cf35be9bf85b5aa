#include "router/request.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "router/json_text.hpp"
#include "router/request_field.hpp"

namespace weir::router {
namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

/// Buffers for larger bodies are given back after use.
constexpr std::size_t kKeptBodyMax = 1u << 20;
/// What a token of a prompt that is given as numbers counts for in prompt_bytes.
constexpr std::uint64_t kBytesPerTokenId = 4;

/// How the strings of a value count.
enum class Count : std::uint8_t {
    nothing,
    text,    ///< prompt text; addresses and encoded media do not count by their length
    schema,  ///< tools: names count like values
};

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + ('a' - 'A')) : x) == y;
    });
}

bool is_media_key(std::string_view key) noexcept {
    return key == "url" || key == "image_url" || key == "data" || key == "file_data" ||
           key == "b64_json";
}

bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trimmed(std::string_view token) noexcept {
    while (!token.empty() && is_space(token.back())) token.remove_suffix(1);
    return token;
}

/// One pass over one body. Every step returns false once `bad` is set.
class Pass {
 public:
    Pass(std::string_view body, ModelIn where) : body_(body), where_(where) {}

    bool run(ondemand::parser& parser, std::size_t capacity) {
        ondemand::document document;
        ondemand::object object;
        const simdjson::padded_string_view padded(body_.data(), body_.size(), capacity);
        if (const auto e = parser.iterate(padded).get(document)) return malformed(e);
        if (const auto e = document.get_object().get(object)) {
            return e == simdjson::INCORRECT_TYPE ? fail("expected a JSON object", "request_body")
                                                 : malformed(e);
        }
        facts.members_begin = body_.find('{') + 1;
        for (auto result : object) {
            ondemand::field field;
            if (const auto e = std::move(result).get(field)) return malformed(e);
            if (!member(field)) return false;
        }
        if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
            return fail_json("something follows the JSON object");
        }
        if (facts.model.empty() && where_ == ModelIn::body) {
            return fail("Missing required parameter: 'model'.", "model");
        }
        place_usage();
        return true;
    }

    RequestFacts facts;
    BadRequest bad;

 private:
    bool member(ondemand::field& field) {
        // The key points into the body, just behind its quote.
        const auto key_begin = offset(field.key().raw()) - 1;
        std::string_view key;
        if (const auto e = field.unescaped_key().get(key)) return malformed(e);
        ondemand::value& value = field.value();
        const Field which = field_of(key);
        if (which == Field::other) {
            if (equals_ignoring_case(key, "model")) {
                return fail("the field 'model' must be written in lower case", "model");
            }
            facts.has_members = true;
            return walk(value, 1, Count::nothing);
        }
        if (seen_[static_cast<std::size_t>(which)]) {
            return fail(fmt::format("the field '{}' occurs twice", key), name_of(which));
        }
        seen_[static_cast<std::size_t>(which)] = true;
        std::string_view token;
        if (!token_of(value, token)) return false;
        ByteRange range{offset(token.data()), offset(token.data()) + token.size()};
        if (which == Field::tags && token.front() == '[' && !end_of_list(value, range.end)) return false;
        if (is_own(which)) {
            keep_out({key_begin, range.end});
        } else {
            facts.has_members = true;
        }
        return read_field(which, value, token, range);
    }

    bool read_field(Field which, ondemand::value& value, std::string_view token, ByteRange range) {
        switch (which) {
            case Field::model:
                return read_model(value, token, range);
            case Field::stream:
                return read_flag(which, token, facts.stream);
            case Field::stream_options:
                return read_stream_options(value, token, range);
            case Field::max_tokens:
            case Field::max_completion_tokens:
            case Field::max_output_tokens:
                return read_max_tokens(which, value, token);
            case Field::n:
            case Field::best_of:
                return read_n(which, value, token);
            case Field::user:
                return read_user(value, token);
            case Field::metadata:
                return token.front() == '{' ? read_metadata(value) : walk(value, 1, Count::nothing);
            case Field::tags:
                if (token != "null" && token.front() != '[') return fail_tags();
                return token == "null" || read_tags(value, Tags::strings_only);
            case Field::priority:
                return read_priority(value, token);
            case Field::timeout:
                return read_seconds(which, value, token, facts.timeout_seconds);
            case Field::max_wait_seconds:
                return read_seconds(which, value, token, facts.max_wait_seconds);
            case Field::num_retries:
                return read_num_retries(value, token);
            case Field::messages:
                facts.has_messages = token.front() == '[';
                return walk(value, 1, Count::text);
            case Field::tools:
            case Field::functions:
                return walk(value, 1, Count::schema);
            default:
                return walk(value, 1, Count::text);
        }
    }

    bool read_model(ondemand::value& value, std::string_view token, ByteRange range) {
        if (token.front() != '"') return fail("the field 'model' must be a string", "model");
        std::string_view model;
        if (const auto e = value.get_string().get(model)) return malformed(e);
        if (model.empty()) return fail("the field 'model' must not be empty", "model");
        facts.model = model;
        facts.model_value = range;
        return true;
    }

    bool read_flag(Field which, std::string_view token, bool& flag) {
        flag = token == "true";
        if (flag || token == "false" || token == "null") return true;
        return fail(fmt::format("the field '{}' must be true or false", name_of(which)),
                    name_of(which));
    }

    bool read_stream_options(ondemand::value& value, std::string_view token, ByteRange range) {
        if (token == "null") {
            facts.usage_place = range;
            facts.usage_text = "{\"include_usage\":true}";
            return true;
        }
        if (token.front() != '{')
            return fail("the field 'stream_options' must be an object", "stream_options");
        facts.has_stream_options = true;
        ondemand::object options;
        if (const auto e = value.get_object().get(options)) return malformed(e);
        bool any = false;
        bool found = false;
        for (auto result : options) {
            ondemand::field field;
            std::string_view key;
            if (const auto e = std::move(result).get(field)) return malformed(e);
            if (const auto e = field.unescaped_key().get(key)) return malformed(e);
            any = true;
            if (key != "include_usage") {
                if (!walk(field.value(), 2, Count::nothing)) return false;
                continue;
            }
            if (found) return fail("the field 'include_usage' occurs twice", "stream_options");
            found = true;
            std::string_view flag;
            if (!token_of(field.value(), flag)) return false;
            if (!read_flag(Field::stream_options, flag, facts.include_usage)) return false;
            facts.usage_place = {offset(flag.data()), offset(flag.data()) + flag.size()};
            facts.usage_text = "true";
        }
        if (!found) {
            facts.usage_place = {range.begin + 1, range.begin + 1};
            facts.usage_text = any ? "\"include_usage\":true," : "\"include_usage\":true";
        }
        return true;
    }

    /// A whole number in `token`, or nothing for null.
    bool read_whole(Field which, ondemand::value& value, std::string_view token,
                    std::optional<std::uint64_t>& number) {
        std::uint64_t found = 0;
        if (token == "null") return true;
        if (!is_json_number(token) || value.get_uint64().get(found) != simdjson::SUCCESS) {
            return fail(fmt::format("the field '{}' must be a whole number that is not negative",
                                    name_of(which)),
                        name_of(which));
        }
        number = found;
        return true;
    }

    bool read_max_tokens(Field which, ondemand::value& value, std::string_view token) {
        std::optional<std::uint64_t> number;
        if (!read_whole(which, value, token, number)) return false;
        if (number) facts.max_tokens = std::max(facts.max_tokens.value_or(0), *number);
        return true;
    }

    bool read_n(Field which, ondemand::value& value, std::string_view token) {
        std::optional<std::uint64_t> number;
        if (!read_whole(which, value, token, number)) return false;
        facts.n = std::max(facts.n, number.value_or(1));
        return true;
    }

    bool read_num_retries(ondemand::value& value, std::string_view token) {
        std::optional<std::uint64_t> number;
        if (!read_whole(Field::num_retries, value, token, number)) return false;
        constexpr std::uint64_t most = 100;
        if (number) facts.num_retries = static_cast<std::uint32_t>(std::min(*number, most));
        return true;
    }

    bool read_number(Field which, ondemand::value& value, std::string_view token,
                     std::optional<double>& number) {
        double found = 0;
        if (token == "null") return true;
        if (!is_json_number(token) || value.get_double().get(found) != simdjson::SUCCESS) {
            return fail(fmt::format("the field '{}' must be a number", name_of(which)),
                        name_of(which));
        }
        number = found;
        return true;
    }

    bool read_priority(ondemand::value& value, std::string_view token) {
        std::optional<double> number;
        if (!read_number(Field::priority, value, token, number)) return false;
        if (number) facts.priority = static_cast<std::uint8_t>(std::clamp(*number, 0.0, 255.0));
        return true;
    }

    bool read_seconds(Field which, ondemand::value& value, std::string_view token,
                      std::optional<double>& seconds) {
        if (!read_number(which, value, token, seconds)) return false;
        const double least = which == Field::timeout ? 1e-9 : 0.0;
        if (seconds && !(*seconds >= least)) {
            return fail(
                fmt::format("the field '{}' must be a positive number of seconds", name_of(which)),
                name_of(which));
        }
        return true;
    }

    bool read_user(ondemand::value& value, std::string_view token) {
        if (token == "null") return true;
        std::string_view user;
        if (token.front() != '"') return fail("the field 'user' must be a string", "user");
        if (const auto e = value.get_string().get(user)) return malformed(e);
        facts.user = user;
        return true;
    }

    /// Where a list ends, which is still to be read.
    bool end_of_list(ondemand::value& value, std::size_t& end) {
        ondemand::array array;
        std::string_view text;
        if (const auto e = value.get_array().get(array)) return malformed(e);
        if (const auto e = array.raw_json().get(text)) return malformed(e);
        if (const auto e = array.reset().error()) return malformed(e);
        end = offset(text.data()) + trimmed(text).size();
        return true;
    }

    enum class Tags : std::uint8_t { strings_only, whatever };

    bool fail_tags() {
        return fail(fmt::format("the field 'tags' must be a list of at most {} strings", kTagsMax), "tags");
    }

    bool read_tags(ondemand::value& value, Tags what) {
        ondemand::array array;
        if (const auto e = value.get_array().get(array)) return malformed(e);
        for (auto result : array) {
            ondemand::value item;
            std::string_view token;
            std::string_view tag;
            if (const auto e = std::move(result).get(item)) return malformed(e);
            if (!token_of(item, token)) return false;
            if (token.front() != '"' || facts.tags.size() == kTagsMax) {
                if (what == Tags::strings_only) return fail_tags();
                if (!walk(item, 2, Count::nothing)) return false;
                continue;
            }
            if (const auto e = item.get_string().get(tag)) return malformed(e);
            facts.tags.emplace_back(tag);
        }
        return true;
    }

    /// Its tags are as good as `tags`; all else in it is the upstream's affair.
    bool read_metadata(ondemand::value& value) {
        ondemand::object object;
        if (const auto e = value.get_object().get(object)) return malformed(e);
        for (auto result : object) {
            ondemand::field field;
            std::string_view key;
            std::string_view token;
            if (const auto e = std::move(result).get(field)) return malformed(e);
            if (const auto e = field.unescaped_key().get(key)) return malformed(e);
            if (!token_of(field.value(), token)) return false;
            const bool tags = key == "tags" && token.front() == '[';
            if (!(tags ? read_tags(field.value(), Tags::whatever) : walk(field.value(), 2, Count::nothing))) {
                return false;
            }
        }
        return true;
    }

    /// Where to ask for usage when there are no stream_options: as the first member. Another one
    /// follows, for a body that streams says so.
    void place_usage() {
        if (!facts.usage_text.empty()) return;
        facts.usage_place = {facts.members_begin, facts.members_begin};
        facts.usage_text = "\"stream_options\":{\"include_usage\":true},";
    }

    /// Marks a member as the router's own. One comma goes with it: the one behind it as long as
    /// nothing that stays came before, the one in front of it afterwards; so no comma is taken
    /// twice.
    void keep_out(ByteRange member) {
        if (facts.has_members) {
            while (member.begin > 0 && body_[member.begin - 1] != ',') --member.begin;
            if (member.begin > 0) --member.begin;
        } else {
            auto next = member.end;
            while (next < body_.size() && is_space(body_[next])) ++next;
            if (next < body_.size() && body_[next] == ',') member.end = next + 1;
        }
        facts.own_fields[facts.own_fields_count++] = member;
    }

    /// Checks a value to its last byte, and counts its text.
    bool walk(ondemand::value& value, int depth, Count count, bool media = false) {
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
        if (count == Count::text) facts.prompt_bytes += kBytesPerTokenId;
        return true;
    }

    bool walk_object(ondemand::value& value, int depth, Count count) {
        ondemand::object object;
        if (const auto e = value.get_object().get(object)) return malformed(e);
        for (auto result : object) {
            ondemand::field field;
            std::string_view key;
            if (const auto e = std::move(result).get(field)) return malformed(e);
            if (const auto e = field.unescaped_key().get(key)) return malformed(e);
            if (count == Count::schema) facts.prompt_bytes += key.size();
            const bool media = count == Count::text && is_media_key(key);
            if (!walk(field.value(), depth + 1, count, media)) return false;
        }
        return true;
    }

    bool walk_array(ondemand::value& value, int depth, Count count) {
        ondemand::array array;
        if (const auto e = value.get_array().get(array)) return malformed(e);
        for (auto result : array) {
            ondemand::value item;
            if (const auto e = std::move(result).get(item)) return malformed(e);
            if (!walk(item, depth + 1, count)) return false;
        }
        return true;
    }

    bool walk_string(ondemand::value& value, std::string_view token, Count count, bool media) {
        if (token.size() < 2 || token.back() != '"') return fail_json("a string is not closed");
        // Taken, not left to be skipped: skipping would take "a":"b":1 for a key with a value.
        if (const auto e = value.get_raw_json_string().error()) return malformed(e);
        const auto bytes = unescaped_bytes(token.substr(1, token.size() - 2));
        if (!bytes) return fail_json("a string has a malformed escape");
        if (count != Count::nothing)
            facts.prompt_bytes += media ? std::min(*bytes, kMediaPartBytes) : *bytes;
        return true;
    }

    /// The first token of a value, without white space behind it; never empty, and it may begin a
    /// value.
    bool token_of(ondemand::value& value, std::string_view& token) {
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
    ModelIn where_;
    std::array<bool, static_cast<std::size_t>(Field::other)> seen_{};
};

}  // namespace

struct RequestReader::Impl {
    ondemand::parser parser;
    std::vector<char> buffer;
};

RequestReader::RequestReader() : impl_(std::make_unique<Impl>()) {}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

ApiError to_error(const BadRequest& bad) {
    return {400, bad.message, "invalid_request_error", std::string(bad.param), {}};
}

std::variant<RequestFacts, BadRequest> RequestReader::read(std::string_view body, ModelIn where) {
    if (body.empty()) return BadRequest{"Invalid JSON payload: the body is empty", "request_body"};
    auto& buffer = impl_->buffer;
    if (buffer.size() < body.size() + simdjson::SIMDJSON_PADDING) {
        buffer.resize(body.size() + simdjson::SIMDJSON_PADDING);
    }
    std::memcpy(buffer.data(), body.data(), body.size());
    std::memset(buffer.data() + body.size(), ' ', simdjson::SIMDJSON_PADDING);
    Pass pass({buffer.data(), body.size()}, where);
    const bool ok = pass.run(impl_->parser, buffer.size());
    if (body.size() > kKeptBodyMax) impl_ = std::make_unique<Impl>();
    if (!ok) return std::move(pass.bad);
    return std::move(pass.facts);
}

std::variant<RequestFacts, BadRequest> read_request(std::string_view body, ModelIn where) {
    return RequestReader().read(body, where);
}

}  // namespace weir::router
