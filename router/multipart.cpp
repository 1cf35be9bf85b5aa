#include "router/multipart.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <optional>
#include <string>

#include "router/fields.hpp"
#include "router/json_text.hpp"
#include "router/request_field.hpp"

namespace weir::router {
namespace {

constexpr std::string_view kBadBody = "request_body";
constexpr std::size_t kBoundaryMax = 70;  // RFC 2046
constexpr std::size_t kPartsMax = 1000;
constexpr std::string_view kModelPart =
    "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// The end of the first `;`-separated piece of `text`; semicolons in quotes do not count.
std::size_t piece_end(std::string_view text) noexcept {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && quoted)
            ++i;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (text[i] == ';' && !quoted)
            return i;
    }
    return text.size();
}

/// The value of parameter `name` of a header field, without its quotes. Nothing if it is missing,
/// is there twice or has an escape in it: then parsers do not agree.
std::optional<std::string_view> parameter(std::string_view field, std::string_view name) noexcept {
    std::optional<std::string_view> found;
    field.remove_prefix(piece_end(field));
    while (!field.empty()) {
        field.remove_prefix(1);  // the semicolon
        const auto piece = trimmed(field.substr(0, piece_end(field)));
        field.remove_prefix(piece_end(field));
        const auto equals = piece.find('=');
        if (equals == std::string_view::npos || !same_name(trimmed(piece.substr(0, equals)), name))
            continue;
        if (found) return std::nullopt;
        auto value = trimmed(piece.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        if (value.find_first_of("\"\\") != std::string_view::npos) return std::nullopt;
        found = value;
    }
    return found;
}

std::string_view boundary_of(std::string_view content_type) noexcept {
    const auto boundary = parameter(content_type, "boundary").value_or("");
    return boundary.size() <= kBoundaryMax ? boundary : std::string_view();
}

/// One part of a form, as ranges of the body.
struct Part {
    ByteRange whole;    // from its delimiter to the next one
    ByteRange content;  // between its head and the line end before the next delimiter
    std::string_view name;
};

/// A form's text as the value that JSON would have there: a flag, a number, a list or an object where it
/// reads like one, or else a string.
std::string as_json(std::string_view text) {
    for (const std::string_view flag : {"true", "false"}) {
        if (same_name(text, flag)) return std::string(flag);
    }
    const bool composed = text.starts_with('[') || text.starts_with('{');
    simdjson::dom::parser parser;
    const bool whole = composed && parser.parse(text.data(), text.size()).error() == simdjson::SUCCESS;
    return whole || is_json_number(text) ? std::string(text) : json_string(text);
}

/// What a form tells the router, gathered as the JSON object that would tell it.
class Members {
 public:
    void add(std::string_view name, std::string_view text) { append(name, as_json(text)); }

    /// An element of the list that is called `name`, which must be good for as long as this is.
    void add_element(std::string_view name, std::string_view text) {
        std::string& list = lists_[name];
        list.append(list.empty() ? "[" : ",").append(json_string(text));
    }

    /// The whole, once; empty if there are none.
    std::string take() {
        for (const auto& [name, list] : lists_) append(name, list + "]");
        return object_.empty() ? std::string() : object_ + "}";
    }

 private:
    void append(std::string_view name, std::string_view value) {
        fmt::format_to(std::back_inserter(object_), "{}\"{}\":{}", object_.empty() ? '{' : ',', name, value);
    }

    std::string object_;                             // without its end
    std::map<std::string_view, std::string> lists_;  // likewise
};

class FormPass {
 public:
    FormPass(std::string_view body, std::string_view boundary) : body_(body) {
        delimiter_ = fmt::format("\r\n--{}", boundary);
    }

    bool run(ModelIn where) {
        // The first delimiter may be the very first bytes, without the line end in front.
        const std::string_view dashes = std::string_view(delimiter_).substr(2);
        std::size_t at = 0;
        if (body_.substr(0, dashes.size()) != dashes) {
            at = body_.find(delimiter_);
            if (at == std::string_view::npos) return fail_form("its boundary does not occur");
            at += 2;
        }
        facts.members_begin = at;
        for (std::size_t parts = 0;; ++parts) {
            std::size_t head = at + dashes.size();
            if (body_.substr(head, 2) == "--") break;
            if (parts == kPartsMax)
                return fail_form(fmt::format("it has more than {} parts", kPartsMax));
            Part part;
            if (!read_part(at, head, part) || !read_field(part)) return false;
            at = part.whole.end;
        }
        if (facts.model_value.empty() && where == ModelIn::body) {
            return fail("Missing required parameter: 'model'.", "model");
        }
        return read_members();
    }

    RequestFacts facts;
    BadRequest bad;

 private:
    bool read_part(std::size_t begin, std::size_t head, Part& part) {
        while (head < body_.size() && (body_[head] == ' ' || body_[head] == '\t')) ++head;
        if (body_.substr(head, 2) != "\r\n")
            return fail_form("a boundary is not followed by a line end");
        head += 2;
        const auto next = body_.find(delimiter_, head - 2);
        if (next == std::string_view::npos) return fail_form("its end is missing");
        std::optional<std::string_view> disposition;
        while (body_.substr(head, 2) != "\r\n") {
            const auto end = body_.find("\r\n", head);
            if (end == std::string_view::npos || end >= next)
                return fail_form("a part has no content");
            const auto line = body_.substr(head, end - head);
            const auto colon = line.find(':');
            if (colon == std::string_view::npos) return fail_form("a part's head is malformed");
            if (same_name(line.substr(0, colon), "content-disposition")) {
                if (disposition) return fail_form("a part has two Content-Disposition fields");
                disposition = trimmed(line.substr(colon + 1));
            }
            head = end + 2;
        }
        const auto name = parameter(disposition.value_or(""), "name");
        if (!name) return fail_form("a part has no plain name");
        part.whole = {begin, next + 2};
        part.content = {std::min(head + 2, next), next};
        part.name = *name;
        return true;
    }

    bool read_field(const Part& part) {
        const auto text = body_.substr(part.content.begin, part.content.end - part.content.begin);
        const bool element = part.name.ends_with("[]");
        const auto name = part.name.substr(0, part.name.size() - (element ? 2 : 0));
        const std::size_t number = kFieldsByLength.find(name);
        if (number == FieldsByLength::kCount || (element && !is_list(kFieldsByLength[number].field))) {
            facts.has_members = true;
            return true;
        }
        const KnownField& known = kFieldsByLength[number];
        if (!is_own(known.field)) {
            facts.has_members = true;
            return read_passing(known, part, text);
        }
        if (!is_text(known.name, text)) return false;
        if (element) {
            members_.add_element(known.name, text);
        } else {
            members_.add(known.name, text);
        }
        return keep_out(part.whole);
    }

    /// What the upstream gets, too.
    bool read_passing(const KnownField& known, const Part& part, std::string_view text) {
        switch (known.field) {
            case BodyField::model:
                if (!once(seen_model_, known.name)) return false;
                if (text.empty()) return fail("the field 'model' must not be empty", known.name);
                facts.model = text;
                facts.model_value = part.content;
                return true;
            case BodyField::text:
                facts.prompt_bytes += text.size();
                return true;
            case BodyField::user:
                facts.user = text;
                return true;
            case BodyField::stream:
                facts.stream = same_name(text, "true");
                return true;
            case BodyField::metadata:  // for its tags
                if (!is_text(known.name, text)) return false;
                members_.add(known.name, text);
                return true;
            case BodyField::n:
                return read_n(known.name, text);
            default:
                return true;
        }
    }

    bool read_n(std::string_view name, std::string_view text) {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size() || number == 0) {
            return fail(fmt::format("the field '{}' must be a positive whole number", name), name);
        }
        facts.n = std::max(facts.n, number);
        return true;
    }

    static bool is_list(BodyField field) noexcept {
        return field == BodyField::tags || field == BodyField::fallbacks ||
               field == BodyField::context_window_fallbacks || field == BodyField::content_policy_fallbacks;
    }

    /// JSON must be UTF-8, and so must what becomes a part of it.
    bool is_text(std::string_view name, std::string_view text) {
        if (simdjson::validate_utf8(text.data(), text.size())) return true;
        return fail(fmt::format("the field '{}' is not valid UTF-8", name), name);
    }

    /// Marks a part as the router's own; what stands side by side goes as one.
    bool keep_out(ByteRange part) {
        auto& own = facts.own_fields;
        if (!own.empty() && own.back().end == part.begin) {
            own.back().end = part.end;
            return true;
        }
        if (own.size() == kOwnFieldsMax) {
            return fail_form(fmt::format("more than {} places of it are the router's own", kOwnFieldsMax));
        }
        own.push_back(part);
        return true;
    }

    /// What the members say that were gathered, by the same rules as in a body of JSON.
    bool read_members() {
        const std::string members = members_.take();
        if (members.empty()) return true;
        auto read = read_request(members, ModelIn::path);
        if (auto* refused = std::get_if<BadRequest>(&read)) {
            bad = std::move(*refused);
            return false;
        }
        auto& said = std::get<RequestFacts>(read);
        facts.tags = std::move(said.tags);
        facts.priority = said.priority;
        facts.timeout_seconds = said.timeout_seconds;
        facts.stream_timeout_seconds = said.stream_timeout_seconds;
        facts.max_wait_seconds = said.max_wait_seconds;
        facts.num_retries = said.num_retries;
        facts.own_fallbacks = std::move(said.own_fallbacks);
        return true;
    }

    bool once(bool& seen, std::string_view name) {
        if (seen) return fail(fmt::format("the field '{}' occurs twice", name), name);
        seen = true;
        return true;
    }

    bool fail(std::string message, std::string_view param) {
        bad = {std::move(message), param};
        return false;
    }
    bool fail_form(std::string_view why) {
        return fail(fmt::format("Invalid form: {}", why), kBadBody);
    }

    std::string_view body_;
    std::string delimiter_;
    bool seen_model_ = false;
    Members members_;
};

}  // namespace

bool is_form(std::string_view content_type) noexcept {
    return same_name(trimmed(content_type.substr(0, piece_end(content_type))),
                     "multipart/form-data");
}

std::variant<RequestFacts, BadRequest> read_form(std::string_view body,
                                                 std::string_view content_type, ModelIn where) {
    const auto boundary = boundary_of(content_type);
    if (!is_form(content_type) || boundary.empty()) {
        return BadRequest{"Invalid form: the Content-Type has no boundary", kBadBody};
    }
    FormPass pass(body, boundary);
    if (!pass.run(where)) return std::move(pass.bad);
    return std::move(pass.facts);
}

SplicedBody splice_form(std::string_view body, const RequestFacts& facts,
                        std::string_view content_type, std::string_view model) noexcept {
    SplicedBody spliced;
    std::size_t at = facts.members_begin;
    spliced.add(body.substr(0, at));
    if (facts.model_value.empty()) {
        for (const auto piece : {std::string_view("--"), boundary_of(content_type), kModelPart,
                                 model, std::string_view("\r\n")}) {
            spliced.add(piece);
        }
    }
    // own_fields are in order; the model's place is somewhere among them.
    bool placed = facts.model_value.empty();
    const auto place_model = [&] {
        spliced.add(body.substr(at, facts.model_value.begin - at));
        spliced.add(model);
        at = facts.model_value.end;
        placed = true;
    };
    for (const ByteRange& own : facts.own_fields) {
        if (!placed && facts.model_value.begin < own.begin) place_model();
        spliced.add(body.substr(at, own.begin - at));
        at = own.end;
    }
    if (!placed) place_model();
    spliced.add(body.substr(at));
    return spliced;
}

}  // namespace weir::router
