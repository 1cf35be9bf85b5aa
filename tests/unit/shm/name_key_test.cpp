#include "shm/name_key.hpp"

#include <catch2/catch.hpp>

#include <bit>
#include <set>
#include <stdexcept>
#include <string>

using namespace weir::shm;

namespace {

constexpr std::size_t kWords = 29;
constexpr std::size_t kBytes = kWords * 8;

LimiterName name(std::string scope, std::string text, Unit unit = Unit::requests,
                 Nanos window = std::chrono::seconds(60)) {
    return {std::move(scope), std::move(text), unit, window};
}

bool same(const NameKey& a, const NameKey& b) {
    return a.hash == b.hash && a.meta == b.meta && a.detail == b.detail && a.text == b.text;
}

}  // namespace

TEST_CASE("a key is read back as what it was made of") {
    const NameKey key = window_key(name("key", "alice:1", Unit::tokens, std::chrono::hours(24)), kWords);
    const NameText text = text_of(key, kWords);
    CHECK(text.scope == "key");
    CHECK(text.name == "alice:1");
    CHECK(text.unit == Unit::tokens);
    CHECK(text.window == std::chrono::hours(24));
    CHECK(same(key, window_key(name("key", "alice:1", Unit::tokens, std::chrono::hours(24)), kWords)));
}

TEST_CASE("whatever differs in a name makes another key") {
    const NameKey base = window_key(name("key", "a"), kWords);
    CHECK_FALSE(same(base, window_key(name("key", "b"), kWords)));
    CHECK_FALSE(same(base, window_key(name("team", "a"), kWords)));
    CHECK_FALSE(same(base, window_key(name("key", "a", Unit::tokens), kWords)));
    CHECK_FALSE(same(base, window_key(name("key", "a", Unit::requests, std::chrono::seconds(61)), kWords)));
    // The border between scope and name is part of it.
    CHECK_FALSE(same(scoped_key("ab", "c", kWords), scoped_key("a", "bc", kWords)));
}

TEST_CASE("a name may be empty, hold any bytes, and be as long as its record") {
    const std::string bytes("\0\xff:/#", 5);
    CHECK(text_of(scoped_key("s", bytes, kWords), kWords).name == bytes);
    CHECK(text_of(scoped_key("s", "", kWords), kWords).name.empty());
    const std::string full(kBytes - 1, 'x');
    CHECK(text_of(scoped_key("s", full, kWords), kWords).name == full);
}

TEST_CASE("longer names keep a readable beginning and stay apart by their hash") {
    const std::string common(kBytes, 'x');
    std::set<std::string> stored;
    for (const char* end : {"", "1", "2", "11"}) {
        const std::string shown = text_of(scoped_key("s", common + end, kWords), kWords).name;
        CHECK(shown.size() == kBytes - 1);
        CHECK(shown.substr(0, 100) == common.substr(0, 100));
        CHECK(shown[shown.size() - 33] == '#');
        stored.insert(shown);
    }
    CHECK(stored.size() == 4);
}

TEST_CASE("what no name can be is refused, and the message names the field") {
    using Catch::Matchers::StartsWith;
    CHECK_THROWS_WITH(scoped_key("", "a", kWords), StartsWith("scope:"));
    CHECK_THROWS_WITH(scoped_key("a:b", "a", kWords), StartsWith("scope:"));
    CHECK_THROWS_WITH(scoped_key(std::string(32, 's'), "a", kWords), StartsWith("scope:"));
    CHECK_NOTHROW(scoped_key(std::string(31, 's'), "a", kWords));
    const auto window = [](Nanos length) { return window_key(name("s", "a", Unit::tokens, length), kWords); };
    CHECK_THROWS_WITH(window(std::chrono::milliseconds(10) - Nanos(1)), StartsWith("window:"));
    CHECK_THROWS_WITH(window(std::chrono::hours(24 * 366) + Nanos(1)), StartsWith("window:"));
    CHECK_NOTHROW(window(std::chrono::milliseconds(10)));
    CHECK_NOTHROW(window(std::chrono::hours(24 * 366)));
    CHECK_THROWS_WITH(window_key(name("s", "a", static_cast<Unit>(9)), kWords), StartsWith("unit:"));
    CHECK_THROWS_WITH(plain_key("", kWords), StartsWith("name:"));
}

TEST_CASE("a key of garbage is read within its bounds") {
    NameKey garbage;
    garbage.meta = garbage.detail = ~std::uint64_t{0};
    garbage.text.fill(~std::uint64_t{0});
    const NameText text = text_of(garbage, kWords);
    CHECK(text.scope.size() + text.name.size() == kBytes);
    CHECK(text.unit == Unit::output_tokens);
    CHECK(text_of(garbage, 1000).scope.size() == NameKey::kWordsMax * 8);
}

TEST_CASE("the hash spreads names that differ in one bit, and seeds are independent") {
    std::set<std::uint64_t> hashes;
    for (int i = 0; i < 10'000; ++i) {
        hashes.insert(hash_bytes("user-" + std::to_string(i), 0));
        hashes.insert(hash_bytes("user-" + std::to_string(i), 1));
    }
    CHECK(hashes.size() == 20'000);
    int flipped = 0;
    for (std::size_t bit = 0; bit < 64; ++bit) {
        std::string text = "abcdefgh";
        text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
        flipped += std::popcount(hash_bytes("abcdefgh", 0) ^ hash_bytes(text, 0));
    }
    CHECK(flipped / 64 >= 24);  // half of the bits on average
    CHECK(flipped / 64 <= 40);
}
