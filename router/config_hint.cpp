#include "router/config_hint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <utility>

#include "router/config_sections.hpp"

namespace weir::router {
namespace {

/// Longer names are not compared; none is.
constexpr std::size_t kNameMax = 63;

/// As settings are written: in small letters and with underscores.
char usual(char c) noexcept {
    if (c == '-' || c == ' ') return '_';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// How many letters are to be changed, added, left out or swapped with their neighbour to make `b` of `a`.
std::size_t distance(std::string_view a, std::string_view b) noexcept {
    using Row = std::array<std::size_t, kNameMax + 1>;
    Row before{};
    Row last{};
    Row row{};
    std::iota(last.begin(), last.end(), 0u);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = usual(a[i - 1]) == usual(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
            const bool swapped = i > 1 && j > 1 && usual(a[i - 1]) == usual(b[j - 2]) &&
                                 usual(a[i - 2]) == usual(b[j - 1]);
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before = last;
        last = row;
    }
    return last[b.size()];
}

bool has(std::span<const std::string_view> names, std::string_view name) noexcept {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// The sections that understand `key`, joined by "or".
std::string sections_of(std::string_view key) {
    std::string sections;
    for (const SettingTable& table :
         {router_settings(), general_settings(), litellm_settings(), deployment_settings(),
          caller_settings(), weir_settings(), redis_settings()}) {
        if (!has(table.known, key)) continue;
        if (!sections.empty()) sections += " or ";
        sections += table.section;
    }
    return has(top_settings().known, key) ? "the top of the file" : sections;
}

}  // namespace

std::string_view near_name(std::string_view key, std::span<const std::string_view> known) noexcept {
    if (key.empty() || key.size() > kNameMax) return {};
    // A third of the letters: "num_retry" is meant as num_retries, and rpm is not tpm for everybody.
    std::size_t least = key.size() / 3 + 1;
    std::string_view nearest;
    for (const std::string_view name : known) {
        if (name.size() > kNameMax) continue;
        const std::size_t letters = distance(key, name);
        if (letters < least) std::tie(least, nearest) = std::pair(letters, name);
    }
    return nearest;
}

std::string hint_for(std::string_view key, std::span<const std::string_view> known) {
    const auto begins = std::find_if(known.begin(), known.end(), [key](std::string_view name) {
        return name.size() > key.size() && name.substr(0, key.size()) == key && name[key.size()] == '_';
    });
    if (begins != known.end()) return fmt::format("; {} may be meant", *begins);
    if (const std::string sections = sections_of(key); !sections.empty()) {
        return fmt::format("; it belongs in {}", sections);
    }
    const std::string_view near = near_name(key, known);
    return near.empty() ? std::string() : fmt::format("; {} may be meant", near);
}

}  // namespace weir::router
