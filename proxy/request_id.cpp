#include "proxy/request_id.hpp"

#include <algorithm>

namespace weir::proxy {
namespace {

constexpr std::size_t kGivenMax = 128;

bool acceptable(std::string_view id) {
    return !id.empty() && id.size() <= kGivenMax &&
           std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::string IdSource::choose(std::string_view given) {
    if (acceptable(given)) return std::string(given);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string id = "xxxxxxxx-xxxx-4xxx-Vxxx-xxxxxxxxxxxx";  // RFC 9562, version 4, variant 10
    std::uint64_t bits = 0;
    unsigned left = 0;
    for (char& c : id) {
        if (c != 'x' && c != 'V') continue;
        if (left == 0) {
            bits = random_();
            left = 16;
        }
        c = c == 'x' ? digits[bits & 15] : digits[8 | (bits & 3)];
        bits >>= 4;
        --left;
    }
    return id;
}

}  // namespace weir::proxy
