// A name as a directory stores and compares it: whole words, so that readers and a writer may meet.
//
// A name longer than its record keeps is cut to a readable prefix, '#', and 128 bits of hash of the
// whole name. Names are compared in full, never by their hash alone.
//
// Thread safety: values and pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "shm/limiter.hpp"

namespace weir::shm {

/// What a record is found by.
struct NameKey {
    static constexpr std::size_t kWordsMax = 54;

    std::uint64_t hash = 0;
    std::uint64_t meta = 0;    // text bytes | scope bytes << 16 | unit << 32
    std::uint64_t detail = 0;  // the window's length in ns, or 0
    std::array<std::uint64_t, kWordsMax> text{};
};

/// What a stored name says.
struct NameText {
    std::string scope;
    std::string name;
    Unit unit = Unit::requests;
    Nanos window{};
};

/// 64 bits of hash of `text`; different seeds give independent hashes. Not cryptographic.
std::uint64_t hash_bytes(std::string_view text, std::uint64_t seed) noexcept;

/// The key of a window limiter. Throws std::invalid_argument naming the field that is out of range.
NameKey window_key(const LimiterName& name, std::size_t words);

/// The key of anything that has a scope and a name only. Throws std::invalid_argument.
NameKey scoped_key(std::string_view scope, std::string_view name, std::size_t words);

/// The key of a counter, which has no scope. Throws std::invalid_argument if it is empty.
NameKey plain_key(std::string_view name, std::size_t words);

/// Reads a key back; whatever the words hold, the result is within their bounds.
NameText text_of(const NameKey& key, std::size_t words);

}  // namespace weir::shm
