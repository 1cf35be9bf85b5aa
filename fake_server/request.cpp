#include "fake_server/request.hpp"

#include <algorithm>

namespace weir::fake_server {
namespace {

char lower(char letter) noexcept {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

}  // namespace

bool same_name(std::string_view left, std::string_view right) noexcept {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

void Request::add_field(std::string_view name, std::string_view value) {
    spans_.push_back({text_.size(), name.size(), value.size()});
    text_.append(name).append(value);
}

Request::Field Request::field(std::size_t index) const noexcept {
    const Span& span = spans_[index];
    const std::string_view text(text_);
    return {text.substr(span.begin, span.name_size),
            text.substr(span.begin + span.name_size, span.value_size)};
}

std::optional<std::string_view> Request::find(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < spans_.size(); ++i) {
        const Field candidate = field(i);
        if (same_name(candidate.name, name)) return candidate.value;
    }
    return std::nullopt;
}

std::string_view Request::path() const noexcept {
    return std::string_view(target).substr(0, target.find('?'));
}

std::optional<std::string_view> Request::query(std::string_view name) const noexcept {
    const std::size_t mark = target.find('?');
    if (mark == std::string::npos) return std::nullopt;
    std::string_view rest = std::string_view(target).substr(mark + 1);
    while (!rest.empty()) {
        const std::string_view item = rest.substr(0, rest.find('&'));
        const std::size_t equals = item.find('=');
        if (item.substr(0, equals) == name) {
            return equals == std::string_view::npos ? std::string_view{} : item.substr(equals + 1);
        }
        rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    }
    return std::nullopt;
}

void Request::clear() noexcept {
    method.clear();
    target.clear();
    body.clear();
    text_.clear();
    spans_.clear();
    version = 11;
    keep_alive = true;
}

}  // namespace weir::fake_server
