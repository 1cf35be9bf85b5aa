#include "loadtest/question.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weir::loadtest {

std::string make_uuid(std::mt19937_64& random) {
    constexpr std::uint64_t kVersion = 0x4000;               // the four bits 0100
    constexpr std::uint64_t kVariant = 0x8000'0000'0000'0000;  // the two bits 10
    const std::uint64_t high = (random() & ~std::uint64_t{0xF000}) | kVersion;
    const std::uint64_t low = (random() & (kVariant / 2 - 1)) | kVariant;
    return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF,
                       high & 0xFFFF, low >> 48, low & 0xFFFF'FFFF'FFFF);
}

std::string make_question(std::string_view model, std::mt19937_64& random) {
    const nlohmann::json message = {{"role", "user"}, {"content", "This is a test: " + make_uuid(random)}};
    return nlohmann::json{{"model", model}, {"messages", nlohmann::json::array({message})}}.dump();
}

}  // namespace weir::loadtest
