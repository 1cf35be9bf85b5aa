#include "router/request.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "router/json_text.hpp"
#include "router/json_walk.hpp"
#include "router/request_field.hpp"

namespace weir::router {
namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

/// Buffers for larger bodies are given back after use.
constexpr std::size_t kKeptBodyMax = 1u << 20;
/// A timeout of 0 seconds would be none or all, as one looks at it.
constexpr double kTimeoutLeast = 1e-9;

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + ('a' - 'A')) : x) == y;
    });
}

/// One pass over one body. Every step returns false once `bad` is set.
class Pass : private JsonWalk {
 public:
    using JsonWalk::bad;

    Pass(std::string_view body, ModelIn where) : JsonWalk(body), where_(where) {}

    bool run(ondemand::parser& parser, std::size_t capacity) {
        ondemand::object object;
        const simdjson::padded_string_view padded(body_.data(), body_.size(), capacity);
        if (const auto e = parser.iterate(padded).get(document_)) return malformed(e);
        if (const auto e = document_.get_object().get(object)) {
            return e == simdjson::INCORRECT_TYPE ? fail("expected a JSON object", "request_body")
                                                 : malformed(e);
        }
        facts.members_begin = body_.find('{') + 1;
        for (auto result : object) {
            ondemand::field field;
            if (const auto e = std::move(result).get(field)) return malformed(e);
            if (!member(field)) return false;
        }
        if (document_.current_location().error() != simdjson::OUT_OF_BOUNDS) {
            return fail_json("something follows the JSON object");
        }
        if (facts.model.empty() && where_ == ModelIn::body) {
            return fail("Missing required parameter: 'model'.", "model");
        }
        place_usage();
        facts.prompt_bytes = text_bytes;
        if (!facts.timeout_seconds) facts.timeout_seconds = request_timeout_;
        return true;
    }

    RequestFacts facts;

 private:
    bool member(ondemand::field& field) {
        // The key points into the body, just behind its quote.
        const auto key_begin = offset(field.key().raw()) - 1;
        std::string_view key;
        if (const auto e = field.unescaped_key().get(key)) return malformed(e);
        ondemand::value& value = field.value();
        const std::size_t number = kFieldsByLength.find(key);
        if (number == FieldsByLength::kCount) {
            if (equals_ignoring_case(key, "model")) {
                return fail("the field 'model' must be written in lower case", "model");
            }
            facts.has_members = true;
            return walk(value, 1, Count::nothing);
        }
        const KnownField& known = kFieldsByLength[number];
        if (seen_[number]) return fail(fmt::format("the field '{}' occurs twice", key), known.name);
        seen_[number] = true;
        std::string_view token;
        if (!token_of(value, token)) return false;
        ByteRange range{offset(token.data()), offset(token.data()) + token.size()};
        const bool own = is_own(known.field);
        facts.has_members = facts.has_members || !own;
        if (!read_field(known, value, token, range)) return false;
        if (!own) return true;
        const bool container = token.front() == '[' || token.front() == '{';
        return keep_out({key_begin, container ? end_of_container() : range.end});
    }

    bool read_field(const KnownField& known, ondemand::value& value, std::string_view token,
                    ByteRange range) {
        switch (known.field) {
            case BodyField::model:
                return read_model(value, token, range);
            case BodyField::stream:
                return read_flag(known.name, token, facts.stream);
            case BodyField::stream_options:
                return read_stream_options(value, token, range);
            case BodyField::max_tokens:
                return read_max_tokens(known.name, value, token);
            case BodyField::n:
                return read_n(known.name, value, token);
            case BodyField::user:
                return read_user(value, token);
            case BodyField::metadata:
            case BodyField::litellm_metadata:
                return token.front() == '{' ? read_metadata(value) : walk(value, 1, Count::nothing);
            case BodyField::messages:
                facts.has_messages = token.front() == '[';
                return walk(value, 1, Count::text);
            case BodyField::text:
                return walk(value, 1, Count::text);
            case BodyField::tools:
                return walk(value, 1, Count::schema);
            default:
                return read_own(known, value, token, range);
        }
    }

    /// What is meant for the router alone.
    bool read_own(const KnownField& known, ondemand::value& value, std::string_view token, ByteRange range) {
        switch (known.field) {
            case BodyField::tags:
                if (token != "null" && token.front() != '[') return fail_tags();
                return token == "null" || read_tags(value, Tags::strings_only);
            case BodyField::priority:
                return read_priority(value, token);
            case BodyField::timeout:
                return read_seconds(known.name, value, token, kTimeoutLeast, facts.timeout_seconds);
            case BodyField::request_timeout:
                return read_seconds(known.name, value, token, kTimeoutLeast, request_timeout_);
            case BodyField::stream_timeout:
                return read_seconds(known.name, value, token, kTimeoutLeast, facts.stream_timeout_seconds);
            case BodyField::max_wait_seconds:
                return read_seconds(known.name, value, token, 0, facts.max_wait_seconds);
            case BodyField::num_retries:
                return read_small(known.name, value, token, facts.num_retries);
            case BodyField::refused:
                if (token == "null") return true;
                return fail(
                    fmt::format("the field '{}' is not supported: {}", known.name, known.why),
                    known.name);
            case BodyField::left_out:
                return walk(value, 1, Count::nothing);
            default:
                return token == "null" || read_own_fallbacks(known, value, token, range);
        }
    }

    bool read_own_fallbacks(const KnownField& known, ondemand::value& value, std::string_view token,
                            ByteRange range) {
        if (!facts.own_fallbacks) facts.own_fallbacks.emplace();
        OwnFallbacks& own = *facts.own_fallbacks;
        switch (known.field) {
            case BodyField::fallbacks:
                return read_lists(known.name, value, token, range, own.anyhow, own.fallbacks.emplace());
            case BodyField::context_window_fallbacks:
                return read_lists(known.name, value, token, range,
                                  own.context_window.emplace()["*"], *own.context_window);
            case BodyField::content_policy_fallbacks:
                return read_lists(known.name, value, token, range,
                                  own.content_policy.emplace()["*"], *own.content_policy);
            case BodyField::max_fallbacks:
                return read_small(known.name, value, token, own.max_fallbacks);
            case BodyField::disable_fallbacks:
                return read_flag(known.name, token, own.disabled);
            case BodyField::mock_testing_context_fallbacks:
                return read_pretended(known.name, token, Kind::context_window);
            case BodyField::mock_testing_content_policy_fallbacks:
                return read_pretended(known.name, token, Kind::content_policy);
            case BodyField::mock_testing_rate_limit_error:
                return read_pretended(known.name, token, Kind::rate_limited);
            default:
                return read_pretended(known.name, token, Kind::server_error);
        }
    }

    bool read_lists(std::string_view name, ondemand::value& value, std::string_view token, ByteRange range,
                    std::vector<std::string>& anyhow, FallbackLists& lists) {
        if (!walk(value, 1, Count::nothing)) return false;
        const std::string_view list = body_.substr(range.begin, end_of_container() - range.begin);
        if (token.front() == '[' && read_fallbacks(list, anyhow, lists)) return true;
        return fail(
            fmt::format(
                "the field '{}' must be a list of at most {} models: of names, of objects with "
                "a 'model' alone, or of lists by model group",
                name, kOwnFallbacksMax),
            name);
    }

    bool read_pretended(std::string_view name, std::string_view token, Kind kind) {
        bool flag = false;
        if (!read_flag(name, token, flag)) return false;
        if (flag) facts.own_fallbacks->pretended = kind;
        return true;
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

    bool read_flag(std::string_view name, std::string_view token, bool& flag) {
        flag = token == "true";
        if (flag || token == "false" || token == "null") return true;
        return fail(fmt::format("the field '{}' must be true or false", name), name);
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
            if (!read_flag("stream_options", flag, facts.include_usage)) return false;
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
    bool read_whole(std::string_view name, ondemand::value& value, std::string_view token,
                    std::optional<std::uint64_t>& number) {
        std::uint64_t found = 0;
        if (token == "null") return true;
        if (!is_json_number(token) || value.get_uint64().get(found) != simdjson::SUCCESS) {
            return fail(
                fmt::format("the field '{}' must be a whole number that is not negative", name),
                name);
        }
        number = found;
        return true;
    }

    bool read_max_tokens(std::string_view name, ondemand::value& value, std::string_view token) {
        std::optional<std::uint64_t> number;
        if (!read_whole(name, value, token, number)) return false;
        if (number) facts.max_tokens = std::max(facts.max_tokens.value_or(0), *number);
        return true;
    }

    bool read_n(std::string_view name, ondemand::value& value, std::string_view token) {
        std::optional<std::uint64_t> number;
        if (!read_whole(name, value, token, number)) return false;
        facts.n = std::max(facts.n, number.value_or(1));
        return true;
    }

    /// How often something may be tried.
    bool read_small(std::string_view name, ondemand::value& value, std::string_view token,
                    std::optional<std::uint32_t>& small) {
        std::optional<std::uint64_t> number;
        if (!read_whole(name, value, token, number)) return false;
        constexpr std::uint64_t most = 100;
        if (number) small = static_cast<std::uint32_t>(std::min(*number, most));
        return true;
    }

    bool read_number(std::string_view name, ondemand::value& value, std::string_view token,
                     std::optional<double>& number) {
        double found = 0;
        if (token == "null") return true;
        if (!is_json_number(token) || value.get_double().get(found) != simdjson::SUCCESS) {
            return fail(fmt::format("the field '{}' must be a number", name), name);
        }
        number = found;
        return true;
    }

    bool read_priority(ondemand::value& value, std::string_view token) {
        std::optional<double> number;
        if (!read_number("priority", value, token, number)) return false;
        if (number) facts.priority = static_cast<std::uint8_t>(std::clamp(*number, 0.0, 255.0));
        return true;
    }

    bool read_seconds(std::string_view name, ondemand::value& value, std::string_view token, double least,
                      std::optional<double>& seconds) {
        if (!read_number(name, value, token, seconds)) return false;
        if (seconds && !(*seconds >= least)) {
            return fail(fmt::format("the field '{}' must be a positive number of seconds", name), name);
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

    /// Where a list or an object ends that has just been read.
    std::size_t end_of_container() {
        const char* next = nullptr;  // what follows it: there is always something
        if (document_.current_location().get(next)) return body_.size();
        return trimmed(body_.substr(0, offset(next))).size();
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
    bool keep_out(ByteRange member) {
        if (facts.own_fields.size() == kOwnFieldsMax) {
            return fail(fmt::format("more than {} fields are meant for the router alone", kOwnFieldsMax),
                        "request_body");
        }
        if (facts.has_members) {
            while (member.begin > 0 && body_[member.begin - 1] != ',') --member.begin;
            if (member.begin > 0) --member.begin;
        } else {
            auto next = member.end;
            while (next < body_.size() && is_space(body_[next])) ++next;
            if (next < body_.size() && body_[next] == ',') member.end = next + 1;
        }
        facts.own_fields.push_back(member);
        return true;
    }

    ModelIn where_;
    ondemand::document document_;
    std::optional<double> request_timeout_;
    std::array<bool, FieldsByLength::kCount> seen_{};
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
