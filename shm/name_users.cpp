#include "shm/name_users.hpp"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "shm/file_lock.hpp"

namespace weir::shm {

namespace {

/// The next word of `text`, which it is taken from.
std::string_view take_word(std::string_view& text) noexcept {
    const std::size_t from = std::min(text.find_first_not_of(" \t"), text.size());
    text.remove_prefix(from);
    const std::size_t length = std::min(text.find_first_of(" \t"), text.size());
    const std::string_view word = text.substr(0, length);
    text.remove_prefix(length);
    return word;
}

std::optional<std::uint64_t> number(std::string_view text, int base) noexcept {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value, base);
    if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
    return value;
}

/// "00:19:1234": major and minor in hexadecimal digits, the inode in decimal ones.
std::optional<FileIdentity> file_of(std::string_view text) noexcept {
    const std::size_t first = text.find(':');
    const std::size_t second = first == text.npos ? text.npos : text.find(':', first + 1);
    if (second == text.npos) return std::nullopt;
    const auto major = number(text.substr(0, first), 16);
    const auto minor = number(text.substr(first + 1, second - first - 1), 16);
    const auto inode = number(text.substr(second + 1), 10);
    if (!major || !minor || !inode) return std::nullopt;
    return FileIdentity{makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor)), *inode};
}

/// One line: "12: OFDLCK  ADVISORY  READ -1 00:19:1234 4096 4096". A lock that is waited for ("12: -> …") is
/// nobody's yet.
std::optional<FileIdentity> locked_file(std::string_view line, std::uint64_t byte) noexcept {
    std::array<std::string_view, 8> words;
    for (std::string_view& word : words) word = take_word(line);
    const auto from = number(words[6], 10);
    const auto to = number(words[7], 10);
    if (words[1] != "OFDLCK" || from != byte || to != byte) return std::nullopt;
    return file_of(words[5]);
}

}  // namespace

std::int64_t name_byte(std::string_view name) noexcept {
    std::uint32_t hash = 0x811c'9dc5;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x0100'0193;
    return kLockNames + hash;
}

std::vector<NameUser> read_locks(std::string_view locks, std::int64_t byte) {
    std::vector<NameUser> users;
    while (!locks.empty()) {
        const std::size_t length = std::min(locks.find('\n'), locks.size());
        const auto file = locked_file(locks.substr(0, length), static_cast<std::uint64_t>(byte));
        locks.remove_prefix(std::min(length + 1, locks.size()));
        if (!file) continue;
        const auto known = std::find_if(users.begin(), users.end(),
                                        [&](const NameUser& user) { return user.file == *file; });
        if (known == users.end()) {
            users.push_back({*file, 1});
        } else {
            ++known->openings;
        }
    }
    return users;
}

std::vector<NameUser> name_users(std::string_view name) {
    std::ifstream file("/proc/locks");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return read_locks(text, name_byte(name));
}

}  // namespace weir::shm
