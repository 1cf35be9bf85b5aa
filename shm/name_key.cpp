#include "shm/name_key.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace weir::shm {

namespace {

constexpr std::size_t kScopeBytesMax = 31;
constexpr Nanos kWindowMin = std::chrono::milliseconds(10);
constexpr Nanos kWindowMax = std::chrono::hours(24 * 366);

void check_scope(std::string_view scope) {
    if (scope.empty() || scope.size() > kScopeBytesMax ||
        scope.find(':') != std::string_view::npos) {
        throw std::invalid_argument(
            fmt::format("scope: '{}' must have 1 to {} bytes and no ':'", scope, kScopeBytesMax));
    }
}

/// Cuts `name` so that it fits into `room` bytes: prefix, '#', 32 hexadecimal digits of hash.
std::string fitted(std::string_view name, std::size_t room) {
    if (name.size() <= room) return std::string(name);
    constexpr std::size_t kTail = 33;
    return fmt::format("{}#{:016x}{:016x}", name.substr(0, room - kTail), hash_bytes(name, 1),
                       hash_bytes(name, 2));
}

NameKey key_of(std::string_view scope, std::string_view name, Unit unit, Nanos window,
               std::size_t words) {
    const std::string text =
        std::string(scope) + fitted(name, words * sizeof(std::uint64_t) - scope.size());
    NameKey key;
    std::memcpy(key.text.data(), text.data(), text.size());
    key.meta = text.size() | scope.size() << 16 | static_cast<std::uint64_t>(unit) << 32;
    key.detail = static_cast<std::uint64_t>(window.count());
    key.hash = hash_bytes(text, key.meta ^ std::rotl(key.detail, 40));
    return key;
}

}  // namespace

std::uint64_t hash_bytes(std::string_view text, std::uint64_t seed) noexcept {
    // A multiply-and-fold over 8-byte words, finished so that every input bit reaches every output
    // bit.
    constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
    std::uint64_t hash = (seed + kOdd) * kOdd ^ text.size();
    while (!text.empty()) {
        std::uint64_t word = 0;
        const std::size_t taken = std::min(text.size(), sizeof word);
        std::memcpy(&word, text.data(), taken);
        text.remove_prefix(taken);
        hash = std::rotl((hash ^ word) * kOdd, 29) + word;
    }
    hash = (hash ^ hash >> 31) * 0xbf58'476d'1ce4'e5b9;
    hash = (hash ^ hash >> 29) * 0x94d0'49bb'1331'11eb;
    return hash ^ hash >> 32;
}

NameKey window_key(const LimiterName& name, std::size_t words) {
    check_scope(name.scope);
    if (name.window < kWindowMin || name.window > kWindowMax) {
        throw std::invalid_argument(
            fmt::format("window: {} ns is not within 10 ms and 366 days", name.window.count()));
    }
    if (name.unit > Unit::output_tokens) throw std::invalid_argument("unit: unknown");
    return key_of(name.scope, name.name, name.unit, name.window, words);
}

NameKey scoped_key(std::string_view scope, std::string_view name, std::size_t words) {
    check_scope(scope);
    return key_of(scope, name, Unit::requests, Nanos(0), words);
}

NameKey plain_key(std::string_view name, std::size_t words) {
    if (name.empty()) throw std::invalid_argument("name: a counter needs one");
    return key_of({}, name, Unit::requests, Nanos(0), words);
}

NameText text_of(const NameKey& key, std::size_t words) {
    const std::size_t room = std::min(words, NameKey::kWordsMax) * sizeof(std::uint64_t);
    const std::size_t bytes = std::min<std::size_t>(key.meta & 0xffff, room);
    const std::size_t scope = std::min<std::size_t>(key.meta >> 16 & 0xffff, bytes);
    std::string text(bytes, '\0');
    std::memcpy(text.data(), key.text.data(), bytes);
    const auto unit = std::min<std::uint64_t>(key.meta >> 32 & 0xff,
                                              static_cast<std::uint64_t>(Unit::output_tokens));
    return {text.substr(0, scope), text.substr(scope), static_cast<Unit>(unit),
            Nanos(static_cast<std::int64_t>(key.detail))};
}

}  // namespace weir::shm
