#include "router/fields.hpp"

#include <algorithm>
#include <array>

namespace weir::router {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr std::array<std::string_view, 9> kHopByHop = {
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "content-length", "proxy-authenticate"};

}  // namespace

bool same_letters(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

void Fields::add(std::string_view name, std::string_view value) {
    places_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size()),
                       static_cast<std::uint32_t>(value.size())});
    text_.append(name).append(value);
}

std::string_view Fields::get(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < size(); ++i) {
        const Field field = (*this)[i];
        if (same_name(field.name, name)) return field.value;
    }
    return {};
}

bool Fields::has(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < size(); ++i) {
        if (same_name((*this)[i].name, name)) return true;
    }
    return false;
}

bool is_hop_by_hop(const Fields& fields, std::string_view name) noexcept {
    const auto same = [name](std::string_view known) { return same_name(known, name); };
    if (std::any_of(kHopByHop.begin(), kHopByHop.end(), same)) return true;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field field = fields[i];
        if (same_name(field.name, "connection") && has_token(field.value, name)) return true;
    }
    return false;
}

bool has_token(std::string_view list, std::string_view token) noexcept {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        std::string_view item = list.substr(0, comma);
        while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
        while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
        if (same_name(item, token)) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

}  // namespace weir::router
