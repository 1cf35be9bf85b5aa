#include "proxy/multipart.hpp"

#include <algorithm>
#include <string>

#include "router/fields.hpp"

namespace weir::proxy {
namespace {

constexpr std::string_view kMultipart = "multipart/form-data";

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// The value of `name` among parameters such as ` boundary="x"; charset=utf-8`; empty if absent.
std::string_view parameter(std::string_view parameters, std::string_view name) {
    while (!parameters.empty()) {
        const std::size_t end = std::min(parameters.find(';'), parameters.size());
        const std::string_view item = trimmed(parameters.substr(0, end));
        parameters.remove_prefix(std::min(end + 1, parameters.size()));
        const std::size_t equals = item.find('=');
        if (equals == std::string_view::npos || !router::same_name(trimmed(item.substr(0, equals)), name)) {
            continue;
        }
        std::string_view value = trimmed(item.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        return value;
    }
    return {};
}

/// Whether a part's head says that it is the field "model".
bool names_model(std::string_view head) {
    while (!head.empty()) {
        const std::size_t end = std::min(head.find("\r\n"), head.size());
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(std::min(end + 2, head.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        if (!router::same_name(line.substr(0, colon), "content-disposition")) continue;
        const std::string_view value = line.substr(colon + 1);
        const std::size_t parameters = std::min(value.find(';'), value.size());
        return parameter(value.substr(std::min(parameters + 1, value.size())), "name") == "model";
    }
    return false;
}

}  // namespace

bool is_multipart(std::string_view content_type) noexcept {
    return content_type.size() >= kMultipart.size() &&
           router::same_name(content_type.substr(0, kMultipart.size()), kMultipart);
}

std::optional<router::ByteRange> find_model_field(std::string_view body, std::string_view content_type) {
    const std::size_t semicolon = std::min(content_type.find(';'), content_type.size() - 1);
    const std::string_view boundary = parameter(content_type.substr(semicolon + 1), "boundary");
    if (boundary.empty() || boundary.size() > 70) return std::nullopt;  // RFC 2046's longest
    const std::string delimiter = "\r\n--" + std::string(boundary);
    std::optional<router::ByteRange> found;
    // The first delimiter may stand at the very beginning, without its line end.
    std::size_t at = body.substr(0, delimiter.size() - 2) == std::string_view(delimiter).substr(2)
                         ? delimiter.size() - 2
                         : body.find(delimiter);
    if (at == std::string_view::npos) return std::nullopt;
    if (at != delimiter.size() - 2) at += delimiter.size();
    while (body.substr(at, 2) != "--") {  // the last delimiter ends in two hyphens
        const std::size_t head_begin = body.find("\r\n", at);
        if (head_begin == std::string_view::npos) return std::nullopt;
        const std::size_t head_end = body.find("\r\n\r\n", head_begin);
        if (head_end == std::string_view::npos) return std::nullopt;
        const std::size_t end = body.find(delimiter, head_end + 2);
        if (end == std::string_view::npos) return std::nullopt;
        if (names_model(body.substr(head_begin + 2, head_end - head_begin - 2))) {
            if (found) return std::nullopt;  // which of the two would the upstream take?
            found = router::ByteRange{head_end + 4, std::max(end, head_end + 4)};
        }
        at = end + delimiter.size();
    }
    return found;
}

}  // namespace weir::proxy
