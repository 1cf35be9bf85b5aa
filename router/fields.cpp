#include "router/fields.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace weir::router {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// The eight bytes at `at`, capitals made small.
std::uint64_t lower_eight(const char* at) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t tops = 0x8080808080808080;
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    // A byte's top bit tells that it is 'A' or above, or above 'Z'; no sum carries into the next byte.
    const std::uint64_t low = word & ~tops;
    const std::uint64_t from_a = low + ones * (0x80 - 'A');
    const std::uint64_t above_z = low + ones * (0x7f - 'Z');
    const std::uint64_t capitals = (from_a ^ above_z) & ~word & tops;
    return word | capitals >> 2;
}

constexpr std::array<std::string_view, 9> kHopByHop = {
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "content-length", "proxy-authenticate"};

}  // namespace

bool same_letters(std::string_view a, std::string_view b) noexcept {
    const std::size_t size = a.size();
    if (size < 8) {
        return std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
    }
    for (std::size_t at = 0; at + 8 < size; at += 8) {
        if (lower_eight(a.data() + at) != lower_eight(b.data() + at)) return false;
    }
    return lower_eight(a.data() + size - 8) == lower_eight(b.data() + size - 8);
}

void Fields::add(std::string_view name, std::string_view value) {
    places_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(name.size()),
                       static_cast<std::uint32_t>(value.size())});
    text_.append(name).append(value);
    traces_ |= trace(name);
}

std::uint64_t Fields::trace(std::string_view name) noexcept {
    if (name.empty()) return 1;
    const auto letter = [](char c) { return static_cast<unsigned>(c | 0x20); };
    return std::uint64_t{1} << ((name.size() * 5 + letter(name.front()) * 3 + letter(name.back()) * 11) & 63);
}

std::string_view Fields::get(std::string_view name) const noexcept {
    if ((traces_ & trace(name)) == 0) return {};
    for (std::size_t i = 0; i < size(); ++i) {
        const Field field = (*this)[i];
        if (same_name(field.name, name)) return field.value;
    }
    return {};
}

bool Fields::has(std::string_view name) const noexcept {
    if ((traces_ & trace(name)) == 0) return false;
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
