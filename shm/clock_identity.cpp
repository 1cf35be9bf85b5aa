#include "shm/clock_identity.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>

namespace weir::shm {

namespace {

std::uint64_t read_hex(std::string_view digits) noexcept {
    std::uint64_t value = 0;
    const auto end = digits.data() + digits.size();
    return std::from_chars(digits.data(), end, value, 16).ptr == end ? value : 0;
}

}  // namespace

ClockIdentity this_clock() {
    ClockIdentity clock;
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string digits;
    std::getline(file, digits);
    std::erase(digits, '-');
    if (digits.size() >= 32) {
        clock.boot[0] = read_hex(std::string_view(digits).substr(0, 16));
        clock.boot[1] = read_hex(std::string_view(digits).substr(16, 16));
    }
    struct stat status {};
    if (::stat("/proc/self/ns/time", &status) == 0) clock.time_namespace = status.st_ino;
    return clock;
}

std::string boot_text(const ClockIdentity& clock) {
    if (!clock.boot_known()) return "unknown";
    std::string text = fmt::format("{:016x}{:016x}", clock.boot[0], clock.boot[1]);
    for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, 1, '-');
    return text;
}

SameClock compare(const ClockIdentity& its, const ClockIdentity& mine, bool in_memory) noexcept {
    if (!its.boot_known() || !mine.boot_known()) {
        if (!in_memory) return SameClock::unknown_boot;
    } else if (its.boot[0] != mine.boot[0] || its.boot[1] != mine.boot[1]) {
        return SameClock::other_boot;
    }
    const bool namespaces_known = its.time_namespace != 0 && mine.time_namespace != 0;
    if (namespaces_known && its.time_namespace != mine.time_namespace) return SameClock::other_clock;
    return SameClock::yes;
}

}  // namespace weir::shm
