#include "proxy/sha256.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace weir::proxy {
namespace {

std::string hex(const Sha256::Digest& digest) {
    std::string out;
    for (const unsigned char byte : digest) {
        out += "0123456789abcdef"[byte / 16];
        out += "0123456789abcdef"[byte % 16];
    }
    return out;
}

// The texts and digests of FIPS 180-2, appendix B, and of the empty text.
TEST_CASE("SHA-256 of the standard's examples, one hasher after the other text") {
    const Sha256 sha256;
    CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256("abc") == sha256("abc"));
}

TEST_CASE("The digest that is kept is of the text asked for, not of the one before") {
    const Sha256 sha256;
    LastDigest last;
    for (const std::string text : {"", "sk-a", "sk-a", "sk-b", "sk-", "sk-bc", "", "sk-a"}) {
        CHECK(last.of(text, sha256) == sha256(text));
    }
}

}  // namespace
}  // namespace weir::proxy
