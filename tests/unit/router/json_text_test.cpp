#include "router/json_text.hpp"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>
#include <string>

#include "router/api_error.hpp"

using namespace weir::router;

TEST_CASE("numbers are what JSON calls so") {
    for (const char* number : {"0", "-0", "7", "10", "-1.5", "0.25", "1e3", "1E+3", "2.5e-10",
                               "123456789012345678901"}) {
        CAPTURE(number);
        CHECK(is_json_number(number));
    }
    for (const char* other : {"", "-", "01", "-01", "+1", ".5", "1.", "1.e3", "1e", "1e+", "0x1", "1 ", " 1",
                              "NaN",                              "Infinity", "1,5", "--1", "1e3.5"}) {
        CAPTURE(other);
        CHECK_FALSE(is_json_number(other));
    }
}

TEST_CASE("the length of an escaped text is that of its UTF-8") {
    CHECK(unescaped_bytes("") == 0);
    CHECK(unescaped_bytes("plain") == 5);
    CHECK(unescaped_bytes(R"(\"\\\/\b\f\n\r\t)") == 8);
    CHECK(unescaped_bytes(R"(\u20AC)") == 3);
    CHECK(unescaped_bytes(R"(a\u00e9b)") == 5);  // the most that an escape can be
    CHECK(unescaped_bytes(R"(\ud83d\ude00)") == 6);  // a pair
    for (const char* bad : {R"(\)", R"(\x)", R"(\u12)", R"(\u12g4)", R"(a\)"}) {
        CAPTURE(bad);
        CHECK_FALSE(unescaped_bytes(bad));
    }
}

TEST_CASE("an error is JSON whatever stands in its message") {
    ApiError error;
    error.status = 429;
    error.type = "throttling_error";
    error.message = "key \"a\"\n\x01 is over its limit";
    const auto parsed = nlohmann::json::parse(to_json(error));
    CHECK(parsed["error"]["message"] == error.message);
    CHECK(parsed["error"]["type"] == "throttling_error");
    CHECK(parsed["error"]["param"].is_null());
    CHECK(parsed["error"]["code"] == "429");
    error.param = "model";
    CHECK(nlohmann::json::parse(to_json(error))["error"]["param"] == "model");
}
