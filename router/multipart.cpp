#include "router/multipart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "router/fields.hpp"

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

template <class Number>
bool parse(std::string_view text, Number& number) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

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
        return true;
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
        if (part.name == "model") {
            if (!once(seen_model_, "model")) return false;
            if (text.empty()) return fail("the field 'model' must not be empty", "model");
            facts.model = text;
            facts.model_value = part.content;
            facts.has_members = true;
            return true;
        }
        if (is_own(part.name)) return read_own(part, text);
        facts.has_members = true;
        if (part.name == "prompt" || part.name == "input") facts.prompt_bytes += text.size();
        if (part.name == "user") facts.user = text;
        if (part.name == "stream") facts.stream = same_name(text, "true");
        if (part.name == "n" && (!parse(text, facts.n) || facts.n == 0)) {
            return fail("the field 'n' must be a positive whole number", "n");
        }
        return true;
    }

    static bool is_own(std::string_view name) noexcept {
        return std::find(kOwnNames.begin(), kOwnNames.end(), name) != kOwnNames.end();
    }

    bool read_own(const Part& part, std::string_view text) {
        double number = 0;
        const auto* const which = std::find(kOwnNames.begin(), kOwnNames.end(), part.name);
        if (!once(seen_own_[static_cast<std::size_t>(which - kOwnNames.begin())], *which)) return false;
        facts.own_fields.push_back(part.whole);
        if (!parse(text, number) || !(number >= 0) || number > 1e9) {
            return fail_form(fmt::format("the field '{}' must be a number", part.name));
        }
        if (part.name == "priority")
            facts.priority = static_cast<std::uint8_t>(std::min(number, 255.0));
        if (part.name == "timeout" && number > 0) facts.timeout_seconds = number;
        if (part.name == "max_wait_seconds") facts.max_wait_seconds = number;
        if (part.name == "num_retries")
            facts.num_retries = static_cast<std::uint32_t>(std::min(number, 100.0));
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

    static constexpr std::array<std::string_view, 4> kOwnNames = {"priority", "timeout", "max_wait_seconds",
                                                                  "num_retries"};
    std::string_view body_;
    std::string delimiter_;
    bool seen_model_ = false;
    std::array<bool, kOwnNames.size()> seen_own_{};
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
