#include "router/form_parts.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <utility>

#include "router/fields.hpp"

namespace weir::router {
namespace {

constexpr std::size_t kBoundaryMax = 70;
constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";   // RFC 9110, 5.6.2
constexpr std::string_view kBoundaryMarks = "'()+_,-./:=? ";  // RFC 2046, 5.1.1
constexpr std::string_view kMultipart = "multipart/";
constexpr std::array<std::string_view, 3> kPlainEncodings = {"7bit", "8bit", "binary"};

bool is_alphanumeric(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}
bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return is_alphanumeric(c) || kTokenMarks.find(c) != std::string_view::npos;
    });
}
bool is_control(char c) noexcept {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
}
bool is_printable_ascii(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// A header field's value, taken apart: `form-data; name="a"; filename="b"`.
class FieldValue {
 public:
    struct Parameter {
        std::string_view name;
        std::string value;  // unquoted; a quote or a backslash in it is written as %22 or %5C
    };

    /// False if the value is not of this form; error() then says why.
    bool read(std::string_view text) {
        const std::size_t end = std::min(text.find(';'), text.size());
        kind_ = trimmed(text.substr(0, end));
        text.remove_prefix(end);
        while (!(text = trimmed(text)).empty()) {
            if (text.front() != ';') return fail("a parameter is malformed");
            text = trimmed(text.substr(1));
            if (!text.empty() && !read_parameter(text)) return false;
        }
        return true;
    }

    std::string_view kind() const noexcept { return kind_; }
    const std::vector<Parameter>& parameters() const noexcept { return parameters_; }
    const std::string& error() const noexcept { return error_; }

 private:
    bool read_parameter(std::string_view& text) {
        Parameter parameter;
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) return fail("a parameter has no value");
        parameter.name = trimmed(text.substr(0, equals));
        if (!is_token(parameter.name)) return fail("a parameter's name is malformed");
        if (parameter.name.find('*') != std::string_view::npos) {
            return fail(
                fmt::format("the parameter '{}' is not supported; write it without '*', in UTF-8",
                            parameter.name));
        }
        for (const Parameter& other : parameters_) {
            if (same_name(other.name, parameter.name)) {
                return fail(fmt::format("the parameter '{}' occurs twice", parameter.name));
            }
        }
        text = trimmed(text.substr(equals + 1));
        const bool quoted = text.starts_with('"');
        if (!(quoted ? read_quoted(text, parameter.value) : read_plain(text, parameter.value))) {
            return fail(
                fmt::format("the value of the parameter '{}' is malformed", parameter.name));
        }
        parameters_.push_back(std::move(parameter));
        return true;
    }

    static bool read_plain(std::string_view& text, std::string& value) {
        const auto end = std::find_if(text.begin(), text.end(),
                                      [](char c) { return c == ';' || c == ' ' || c == '\t'; });
        const auto length = static_cast<std::size_t>(end - text.begin());
        value = text.substr(0, length);
        text.remove_prefix(length);
        return is_token(value);
    }

    static bool read_quoted(std::string_view& text, std::string& value) {
        for (std::size_t i = 1; i < text.size(); ++i) {
            if (text[i] == '"') {
                text.remove_prefix(i + 1);
                return true;
            }
            const bool escaped = text[i] == '\\' && i + 1 < text.size();
            if (escaped && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
            if (text[i] == '"') {
                value += "%22";
            } else if (text[i] == '\\') {
                value += "%5C";
            } else {
                value += text[i];
            }
        }
        return false;
    }

    bool fail(std::string_view why) {
        error_ = why;
        return false;
    }

    std::string_view kind_;
    std::vector<Parameter> parameters_;
    std::string error_;
};

/// One pass over a body. Every step returns false once `error` is set.
class PartsPass {
 public:
    PartsPass(std::string_view body, std::string_view boundary)
        : body_(body), dashes_(fmt::format("--{}", boundary)) {}

    bool run() {
        if (!body_.starts_with(dashes_)) return fail("it does not begin with its boundary");
        std::size_t at = dashes_.size();
        while (body_.substr(at, 2) != "--") {
            if (parts.size() == kFormPartsMax) {
                return fail(fmt::format("it has more than {} parts", kFormPartsMax));
            }
            if (!read_part(at)) return false;
        }
        const std::string_view rest = body_.substr(at + 2);
        return rest.empty() || rest == "\r\n" || fail("something follows its last boundary");
    }

    std::vector<FormPart> parts;
    FormError error;

 private:
    /// `at` is behind a boundary; afterwards behind the next one.
    bool read_part(std::size_t& at) {
        while (at < body_.size() && (body_[at] == ' ' || body_[at] == '\t')) ++at;
        if (body_.substr(at, 2) != "\r\n") return fail("a boundary is not followed by a line end");
        at += 2;
        const std::size_t next = body_.find(dashes_, at);
        if (next == std::string_view::npos) return fail("its end is missing");
        if (body_.substr(next - 2, 2) != "\r\n") return fail("its boundary occurs inside a part");
        FormPart part;
        if (!read_head(at, next - 2, part)) return false;
        part.content = {at, next - 2};
        parts.push_back(std::move(part));
        at = next + dashes_.size();
        return true;
    }

    /// Reads from `at` to behind the empty line that ends the head, before `end`.
    bool read_head(std::size_t& at, std::size_t end, FormPart& part) {
        bool named = false;
        for (;;) {
            const std::size_t line_end = body_.find("\r\n", at);
            if (line_end == std::string_view::npos || line_end + 2 > end)
                return fail("a part has no content");
            const std::string_view line = body_.substr(at, line_end - at);
            at = line_end + 2;
            if (line.empty()) break;
            if (std::any_of(line.begin(), line.end(), is_control)) {
                return fail("a part's head has a control character");
            }
            if (!read_field(line, part, named)) return false;
        }
        if (!named) return fail("a part has no Content-Disposition");
        return check_type(part);
    }

    bool read_field(std::string_view line, FormPart& part, bool& named) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
            return fail("a part's head is malformed");
        }
        const std::string_view name = line.substr(0, colon);
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (same_name(name, "content-disposition")) {
            if (std::exchange(named, true))
                return fail("a part has two Content-Disposition fields");
            return read_disposition(value, part);
        }
        if (same_name(name, "content-type")) {
            if (!part.type.empty()) return fail("a part has two Content-Type fields");
            if (value.empty() || !is_printable_ascii(value))
                return fail("a part's Content-Type is malformed");
            part.type = value;
            return true;
        }
        if (same_name(name, "content-length"))
            return true;  // some clients write it; the boundary decides
        const bool plain =
            same_name(name, "content-transfer-encoding") &&
            std::any_of(kPlainEncodings.begin(), kPlainEncodings.end(),
                        [&](std::string_view known) { return same_name(value, known); });
        return plain ||
               fail(fmt::format("a part has the field '{}', which is not supported", name));
    }

    bool read_disposition(std::string_view text, FormPart& part) {
        FieldValue value;
        if (!value.read(text)) return fail(value.error());
        if (!same_name(value.kind(), "form-data"))
            return fail("a part is not of the kind form-data");
        bool has_name = false;
        for (const auto& parameter : value.parameters()) {
            if (same_name(parameter.name, "name")) {
                has_name = true;
                if (!is_plain_name(parameter.value)) return fail("a part has no plain name");
                part.name = parameter.value;
            } else if (same_name(parameter.name, "filename")) {
                part.filename = parameter.value;
            } else {
                return fail(fmt::format("a part has the parameter '{}', which is not supported",
                                        parameter.name));
            }
        }
        if (part.filename &&
            !simdjson::validate_utf8(part.filename->data(), part.filename->size())) {
            return fail("a file's name is not valid UTF-8");
        }
        return has_name || fail("a part has no name");
    }

    static bool is_plain_name(std::string_view name) noexcept {
        return !name.empty() && is_printable_ascii(name) && name.front() != ' ' &&
               name.back() != ' ' && name.find("%22") == std::string_view::npos &&
               name.find("%5C") == std::string_view::npos;
    }

    bool check_type(const FormPart& part) {
        if (part.type.empty()) return true;
        FieldValue type;
        if (!type.read(part.type)) return fail(type.error());
        if (same_name(type.kind().substr(0, kMultipart.size()), kMultipart)) {
            return fail("a part is a multipart itself");
        }
        if (part.filename) return true;  // the upstream decides what a file's bytes mean
        for (const auto& parameter : type.parameters()) {
            if (!same_name(parameter.name, "charset")) continue;
            if (!same_name(parameter.value, "utf-8") && !same_name(parameter.value, "us-ascii")) {
                return fail(fmt::format("the part '{}' is not in UTF-8", part.name));
            }
        }
        return true;
    }

    bool fail(std::string_view why) {
        error.why = why;
        return false;
    }

    std::string_view body_;
    std::string dashes_;
};

bool is_boundary(std::string_view text) noexcept {
    return !text.empty() && text.size() <= kBoundaryMax && text.back() != ' ' &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return is_alphanumeric(c) || kBoundaryMarks.find(c) != std::string_view::npos;
           });
}

}  // namespace

std::variant<std::string, FormError> read_boundary(std::string_view content_type) {
    FieldValue value;
    if (!value.read(content_type)) return FormError{"the Content-Type: " + value.error()};
    for (const auto& parameter : value.parameters()) {
        if (!same_name(parameter.name, "boundary")) continue;
        if (is_boundary(parameter.value)) return parameter.value;
        return FormError{"its boundary is not 1 to 70 of the characters that RFC 2046 allows"};
    }
    return FormError{"the Content-Type has no boundary"};
}

std::variant<std::vector<FormPart>, FormError> read_parts(std::string_view body,
                                                          std::string_view boundary) {
    PartsPass pass(body, boundary);
    if (!pass.run()) return std::move(pass.error);
    return std::move(pass.parts);
}

std::string part_head(std::string_view boundary, const FormPart& part) {
    std::string head =
        fmt::format("--{}\r\nContent-Disposition: form-data; name=\"{}\"", boundary, part.name);
    if (part.filename) head += fmt::format("; filename=\"{}\"", *part.filename);
    if (!part.type.empty()) head += fmt::format("\r\nContent-Type: {}", part.type);
    return head += "\r\n\r\n";
}

std::string form_type(std::string_view boundary) {
    const std::string_view quote = is_token(boundary) ? "" : "\"";
    return fmt::format("multipart/form-data; boundary={0}{1}{0}", quote, boundary);
}

}  // namespace weir::router
