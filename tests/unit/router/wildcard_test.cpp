#include "router/wildcard.hpp"

#include <catch2/catch.hpp>

using namespace weir::router;

TEST_CASE("a star stands for any part of a name, also for none") {
    CHECK(wildcard_match("openai/*", "openai/gpt-4o") == "gpt-4o");
    CHECK(wildcard_match("openai/*", "openai/") == "");
    CHECK(wildcard_match("*", "anything") == "anything");
    CHECK(wildcard_match("*-mini", "gpt-4o-mini") == "gpt-4o");
    CHECK(wildcard_match("a*c", "abc") == "b");
    CHECK(wildcard_match("a*c", "ac") == "");
}

TEST_CASE("beginning and end must not overlap, and must be there") {
    CHECK_FALSE(wildcard_match("ab*ba", "aba"));
    CHECK_FALSE(wildcard_match("openai/*", "openai"));
    CHECK_FALSE(wildcard_match("openai/*", "azure/gpt"));
    CHECK_FALSE(wildcard_match("*-mini", "gpt-4o"));
    CHECK_FALSE(wildcard_match("gpt", "gpt"));  // no star
}

TEST_CASE("only the first star counts") {
    CHECK(wildcard_match("a*b*", "axb*") == "x");
    CHECK_FALSE(wildcard_match("a*b*", "axbc"));
}

TEST_CASE("what the star stood for is filled in again") {
    CHECK(wildcard_fill("gpt-*", "4o") == "gpt-4o");
    CHECK(wildcard_fill("*", "") == "");
    CHECK(wildcard_fill("fixed", "4o") == "fixed");
    CHECK(wildcard_fill("*-*", "a") == "a-*");
}
