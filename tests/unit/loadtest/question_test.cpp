#include "loadtest/question.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

using namespace weir::loadtest;

namespace {

bool is_uuid(const std::string& text) {
    // The first digit of the third group is the version, that of the fourth the variant.
    static const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
    return std::regex_match(text, form);
}

}  // namespace

TEST_CASE("a uuid is a random one of version 4") {
    std::mt19937_64 random(1);
    std::set<std::string> seen;
    std::set<char> variants;
    for (int i = 0; i < 1000; ++i) {
        const std::string uuid = make_uuid(random);
        INFO(uuid);
        REQUIRE(is_uuid(uuid));
        seen.insert(uuid);
        variants.insert(uuid[19]);
    }
    CHECK(seen.size() == 1000);
    CHECK(variants.size() == 4);  // the two bits below the variant are random
}

TEST_CASE("the same seed makes the same uuids") {
    std::mt19937_64 one(7);
    std::mt19937_64 same(7);
    std::mt19937_64 other(8);
    const std::string uuid = make_uuid(one);
    CHECK(make_uuid(same) == uuid);
    CHECK(make_uuid(other) != uuid);
}

TEST_CASE("a question is one user message that says it is a test") {
    std::mt19937_64 random(1);
    const auto question = nlohmann::json::parse(make_question("fake-openai-endpoint", random));
    CHECK(question.size() == 2);
    CHECK(question["model"] == "fake-openai-endpoint");
    REQUIRE(question["messages"].size() == 1);
    CHECK(question["messages"][0]["role"] == "user");
    const auto content = question["messages"][0]["content"].get<std::string>();
    CHECK(content.substr(0, 16) == "This is a test: ");
    CHECK(is_uuid(content.substr(16)));
}

TEST_CASE("a model's name is escaped") {
    std::mt19937_64 random(1);
    const std::string odd = "a \"quoted\" model\n";
    CHECK(nlohmann::json::parse(make_question(odd, random))["model"] == odd);
}
