#include "router/multipart.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "router/fields.hpp"
#include "router/form_parts.hpp"
#include "router/json_text.hpp"
#include "router/model_name.hpp"
#include "router/request_field.hpp"

namespace weir::router {
namespace {

constexpr std::string_view kBadBody = "request_body";

/// A form's text as the value that JSON would have there: a flag, a number, a list or an object
/// where it reads like one, or else a string.
std::string as_json(std::string_view text) {
    for (const std::string_view flag : {"true", "false"}) {
        if (same_name(text, flag)) return std::string(flag);
    }
    const bool composed = text.starts_with('[') || text.starts_with('{');
    simdjson::dom::parser parser;
    const bool whole =
        composed && parser.parse(text.data(), text.size()).error() == simdjson::SUCCESS;
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
        fmt::format_to(std::back_inserter(object_), "{}\"{}\":{}", object_.empty() ? '{' : ',',
                       name, value);
    }

    std::string object_;                             // without its end
    std::map<std::string_view, std::string> lists_;  // likewise
};

/// Gathers the facts of a form from its parts, and what the upstream gets of them.
class FormPass {
 public:
    FormPass(std::string_view body, std::string_view boundary) : body_(body), boundary_(boundary) {
        form_.content_type = form_type(boundary);
        form_.end = fmt::format("--{}--\r\n", boundary);
    }

    bool run(const std::vector<FormPart>& parts, ModelIn where) {
        for (const FormPart& part : parts) {
            if (!read_field(part)) return false;
        }
        if (facts.model_value.empty() && where == ModelIn::body) {
            return fail("Missing required parameter: 'model'.", "model");
        }
        if (facts.model_value.empty()) add_model();
        facts.form = std::move(form_);
        return read_members();
    }

    RequestFacts facts;
    BadRequest bad;

 private:
    /// A part that goes upstream: its content with the line end that follows it.
    void pass_on(const FormPart& part, bool is_model = false) {
        form_.parts.push_back(
            {part_head(boundary_, part), {part.content.begin, part.content.end + 2}, is_model});
    }

    void add_model() {
        FormPart model;
        model.name = "model";
        form_.parts.insert(form_.parts.begin(), {part_head(boundary_, model), {}, true});
    }

    bool read_field(const FormPart& part) {
        const auto text = body_.substr(part.content.begin, part.content.end - part.content.begin);
        const KnownField* known = nullptr;
        bool element = false;
        if (!find_field(part.name, known, element)) return false;
        if (known == nullptr) {
            pass_on(part);
            return true;
        }
        if (part.filename)
            return fail(fmt::format("the field '{}' must not be a file", known->name), known->name);
        if (!is_own(known->field)) return read_passing(*known, part, text);
        if (!is_text(known->name, text)) return false;
        if (element) {
            members_.add_element(known->name, text);
        } else {
            members_.add(known->name, text);
        }
        return true;
    }

    /// The field that a part's name stands for; null if it has no meaning here. `element` is true
    /// where it is one of a list: "tags[]". Refused is what some parser takes for a field that has
    /// a meaning: other letter case, and brackets behind a name that is no list.
    bool find_field(std::string_view name, const KnownField*& known, bool& element) {
        const std::string_view base = name.substr(0, name.find('['));
        std::string lower(base);
        for (char& c : lower) {
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
        }
        const std::size_t number = kFieldsByLength.find(lower);
        if (number == FieldsByLength::kCount) return true;
        known = &kFieldsByLength[number];
        if (base != lower) {
            return fail(fmt::format("the field '{}' must be written in lower case", known->name),
                        known->name);
        }
        element = base.size() != name.size();
        if (!element || (is_list(known->field) && name.substr(base.size()) == "[]")) return true;
        return fail(fmt::format("the field '{}' must be written without brackets", known->name),
                    known->name);
    }

    /// What the upstream gets, too.
    bool read_passing(const KnownField& known, const FormPart& part, std::string_view text) {
        if (!is_text(known.name, text)) return false;
        pass_on(part, known.field == BodyField::model);
        switch (known.field) {
            case BodyField::model:
                if (!facts.model_value.empty()) {
                    return fail(fmt::format("the field '{}' occurs twice", known.name), known.name);
                }
                if (text.empty()) return fail("the field 'model' must not be empty", known.name);
                if (has_control(text))
                    return fail("the field 'model' has a control character", known.name);
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
               field == BodyField::context_window_fallbacks ||
               field == BodyField::content_policy_fallbacks;
    }

    /// JSON must be UTF-8, and so must what becomes a part of it.
    bool is_text(std::string_view name, std::string_view text) {
        if (simdjson::validate_utf8(text.data(), text.size())) return true;
        return fail(fmt::format("the field '{}' is not valid UTF-8", name), name);
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

    bool fail(std::string message, std::string_view param) {
        bad = {std::move(message), param};
        return false;
    }

    std::string_view body_;
    std::string_view boundary_;
    FormText form_;
    Members members_;
};

BadRequest bad_form(std::string_view why) {
    return {fmt::format("Invalid form: {}", why), kBadBody};
}

}  // namespace

bool is_form(std::string_view content_type) noexcept {
    std::string_view kind = content_type.substr(0, content_type.find(';'));
    while (!kind.empty() && (kind.back() == ' ' || kind.back() == '\t')) kind.remove_suffix(1);
    return same_name(kind, "multipart/form-data");
}

std::variant<RequestFacts, BadRequest> read_form(std::string_view body,
                                                 std::string_view content_type, ModelIn where) {
    if (!is_form(content_type)) return bad_form("the Content-Type is not multipart/form-data");
    const auto boundary = read_boundary(content_type);
    if (const auto* error = std::get_if<FormError>(&boundary)) return bad_form(error->why);
    const auto parts = read_parts(body, std::get<std::string>(boundary));
    if (const auto* error = std::get_if<FormError>(&parts)) return bad_form(error->why);
    FormPass pass(body, std::get<std::string>(boundary));
    if (!pass.run(std::get<std::vector<FormPart>>(parts), where)) return std::move(pass.bad);
    return std::move(pass.facts);
}

SplicedBody splice_form(std::string_view body, const FormText& form, std::string_view model) {
    SplicedBody spliced;
    for (const FormText::Part& part : form.parts) {
        spliced.add(part.head);
        if (part.is_model) {
            spliced.add(model);
            spliced.add("\r\n");
        } else {
            spliced.add(body.substr(part.content.begin, part.content.end - part.content.begin));
        }
    }
    spliced.add(form.end);
    return spliced;
}

}  // namespace weir::router
