#include "proxy/request_id.hpp"

#include <algorithm>
#include <array>

namespace weir::proxy {
namespace {

constexpr std::size_t kGivenMax = 128;
constexpr std::string_view kDigits = "0123456789abcdef";

bool acceptable(std::string_view id) {
    return !id.empty() && id.size() <= kGivenMax &&
           std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::string IdSource::choose(std::string_view given) {
    if (acceptable(given)) return std::string(given);
    // RFC 9562: version 4 in the upper half of byte 6, variant 10 in the upper bits of byte 8.
    const std::uint64_t high = (random_() & ~std::uint64_t{0xf000}) | 0x4000;
    const std::uint64_t low = (random_() & ~(std::uint64_t{3} << 62)) | std::uint64_t{1} << 63;
    std::string id(36, '-');
    constexpr std::array<std::uint8_t, 16> places = {0,  2,  4,  6,  9,  11, 14, 16,
                                                     19, 21, 24, 26, 28, 30, 32, 34};
    for (std::size_t byte = 0; byte < places.size(); ++byte) {
        const std::uint64_t half = byte < 8 ? high : low;
        const unsigned value = half >> (56 - byte % 8 * 8) & 0xff;
        id[places[byte]] = kDigits[value >> 4];
        id[places[byte] + 1u] = kDigits[value & 15];
    }
    return id;
}

}  // namespace weir::proxy
