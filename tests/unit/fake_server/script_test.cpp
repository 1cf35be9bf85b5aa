#include "fake_server/script.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace weir::fake_server;

namespace {

Program program_of(const std::string& text) {
    std::string error;
    auto program = parse_program(text, error);
    INFO(error);
    REQUIRE(program);
    return *program;
}

}  // namespace

TEST_CASE("Steps are played one per request, then none") {
    Script script;
    script.load(program_of(R"([{"status":500},{"status":429}])"));
    CHECK(script.remaining() == 2);
    CHECK(script.next()->status == 500U);
    CHECK(script.remaining() == 1);
    CHECK(script.next()->status == 429U);
    CHECK(script.next() == nullptr);
    CHECK(script.next() == nullptr);
    CHECK(script.remaining() == 0);
}

TEST_CASE("A step is played as often as it says, and a repeating list begins again") {
    Script script;
    script.load(program_of(R"({"repeat":true,"steps":[{"status":500,"times":2},{}]})"));
    for (int round = 0; round < 3; ++round) {
        CHECK(script.next()->status == 500U);
        CHECK(script.next()->status == 500U);
        CHECK(script.next()->status == std::nullopt);
    }
    script.clear();
    CHECK(script.next() == nullptr);
}

TEST_CASE("An empty list that repeats plays nothing") {
    Script script;
    script.load(program_of(R"({"steps":[],"repeat":true})"));
    CHECK(script.next() == nullptr);
    CHECK(script.next() == nullptr);
}
