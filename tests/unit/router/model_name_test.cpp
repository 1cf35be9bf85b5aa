#include "router/model_name.hpp"

#include <catch2/catch.hpp>

#include <string>

using weir::router::has_control;

TEST_CASE("control characters in a name") {
    for (char byte = 0; byte < 0x20; ++byte) CHECK(has_control("a" + std::string(1, byte) + "b"));
    CHECK(has_control("\x7f"));
    CHECK(has_control("a\xc2\x80"));
    CHECK(has_control("a\xc2\x9f"));
    CHECK_FALSE(has_control("a\xc2\xa0"));  // U+00A0
    CHECK_FALSE(has_control("mod\xc3\xa9le/v1:free (beta)"));
    CHECK_FALSE(has_control("a\xc2"));
    CHECK_FALSE(has_control(""));
}
