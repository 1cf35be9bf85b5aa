#include "router/config_ignored.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace weir::router;

TEST_CASE("an ignored setting is one of the names, or fits one of the patterns") {
    const Ignored ignored{"cache aws_* *_params skip_*_in_guardrail", "because"};
    for (const char* key : {"cache", "aws_region_name", "aws_", "datadog_params", "skip_tool_in_guardrail"}) {
        CAPTURE(key);
        CHECK(ignored.has(key));
    }
    for (const char* key : {"", " ", "cach", "caches", "cache aws_*", "aws", "params", "skip_in_guardrail"}) {
        CAPTURE(key);
        CHECK_FALSE(ignored.has(key));
    }
}

TEST_CASE("the tables are well formed: single spaces, one star in a name, a reason") {
    for (const auto table :
         {ignored_sections(), ignored_params(), ignored_router_settings(), ignored_litellm_settings(),
          ignored_general_settings(), ignored_of_callers()}) {
        for (const Ignored& ignored : table) {
            const std::string names(ignored.names);
            CAPTURE(names);
            CHECK_FALSE(ignored.why.empty());
            CHECK(names.find("  ") == std::string::npos);
            CHECK(names.front() != ' ');
            CHECK(names.back() != ' ');
            std::size_t stars = 0;
            for (const char c : names) {
                if (c == ' ') stars = 0;
                if (c == '*') ++stars;
                CHECK(stars <= 1);
            }
        }
    }
}
