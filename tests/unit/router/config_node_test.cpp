#include "router/config_node.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <vector>

using namespace weir::router;

namespace {

/// A text being read, and what was said about it.
struct Reading {
    std::vector<Problem> problems;
    Environment environment = [](const std::string& name) -> std::optional<std::string> {
        if (name == "SET") return "from outside";
        return std::nullopt;
    };
    ConfigRun run{problems, environment, {{"OWN", "from the file"}}};
    ConfigNode root;

    explicit Reading(const std::string& text) : root(YAML::Load(text), "", run) {}

    /// The only complaint, as "path: message".
    std::string complaint() const {
        if (problems.size() != 1) return std::to_string(problems.size()) + " problems";
        return problems[0].path + ": " + problems[0].message;
    }
};

}  // namespace

TEST_CASE("numbers are read whole, within bounds, whatever their spelling") {
    Reading reading("{a: 5, b: 1e3, c: +7, d: 0.5, e: '6', f: 60.0}");
    CHECK(reading.root.at("a").whole(1, 10) == 5u);
    CHECK(reading.root.at("b").whole(1, 1000) == 1000u);
    CHECK(reading.root.at("c").whole(1, 10) == 7u);
    CHECK(reading.root.at("d").number(0, 1) == 0.5);
    CHECK(reading.root.at("e").whole(1, 10) == 6u);
    CHECK(reading.root.at("f").seconds(0, 100) == std::chrono::seconds(60));
    CHECK_FALSE(reading.root.at("missing").whole(1, 10));
    CHECK(reading.problems.empty());
}

TEST_CASE("what is no such number is refused where it stands") {
    for (const char* text : {"x", "''", "5 5", "0", "11", "-1", "1.5", "nan", "inf", "0x5", "++5",
                             "+", "+-5", "[1]", "{}", "5s"}) {
        Reading reading("{top: {n: " + std::string(text) + "}}");
        CAPTURE(text);
        CHECK_FALSE(reading.root.at("top").at("n").whole(1, 10));
        REQUIRE(reading.problems.size() == 1);
        CHECK(reading.problems[0].path == "top.n");
        CHECK(reading.problems[0].line == 1);
        CHECK(reading.problems[0].message.find("expected a whole number from 1 to 10, found") == 0);
    }
}

TEST_CASE("null is as if it were not there") {
    Reading reading("{a: null, b: ~, c: }");
    for (const char* key : {"a", "b", "c"}) {
        CHECK_FALSE(reading.root.at(key).present());
        CHECK_FALSE(reading.root.at(key).whole(1, 10));
        CHECK_FALSE(reading.root.at(key).text());
        CHECK(reading.root.at(key).items().empty());
    }
    CHECK(reading.problems.empty());
}

TEST_CASE("truth has YAML's spellings") {
    Reading reading("[true, Yes, ON, 1, false, no, Off, 0]");
    for (std::size_t i = 0; i < 8; ++i) CHECK(reading.root.item(i).boolean() == (i < 4));
    Reading bad("{a: maybe}");
    CHECK_FALSE(bad.root.at("a").boolean());
    CHECK(bad.complaint() == "a: expected true or false, found \"maybe\"");
}

TEST_CASE("one text stands for a list of one") {
    Reading reading("{a: one, b: [one, two]}");
    CHECK(reading.root.at("a").texts() == std::vector<std::string>{"one"});
    CHECK(reading.root.at("b").texts() == std::vector<std::string>{"one", "two"});
    CHECK(reading.root.at("c").texts().empty());
    CHECK(reading.problems.empty());
}

TEST_CASE("the file's own variables come before the environment's, and an unset one is an error") {
    Reading reading("{a: os.environ/OWN, b: os.environ/SET, c: os.environ/NONE, d: x os.environ/SET}");
    CHECK(reading.root.at("a").text() == "from the file");
    CHECK(reading.root.at("b").text() == "from outside");
    CHECK(reading.root.at("d").text() == "x os.environ/SET");
    CHECK(reading.problems.empty());
    CHECK_FALSE(reading.root.at("c").text());
    CHECK(reading.complaint() == "c: the environment variable NONE is not set");
}

TEST_CASE("members may be merged in, the mapping's own going before") {
    Reading reading(
        "base: &base {a: 1, b: 2}\n"
        "more: &more {c: 3}\n"
        "x: {<<: [*base, *more], a: 9}\n"
        "y: {<<: *base}\n");
    const ConfigNode x = reading.root.at("x");
    CHECK(x.at("a").whole(0, 10) == 9u);
    CHECK(x.at("b").whole(0, 10) == 2u);
    CHECK(x.at("c").whole(0, 10) == 3u);
    CHECK(reading.root.at("y").at("a").whole(0, 10) == 1u);
    CHECK(x.members().size() == 1);
    x.only({"a"});
    CHECK(reading.problems.empty());
}

TEST_CASE("a mapping that is merged into itself ends") {
    Reading reading("x: &x {<<: *x, a: 1}\n");
    CHECK(reading.root.at("x").at("a").whole(0, 10) == 1u);
    CHECK_FALSE(reading.root.at("x").at("b").present());
}

TEST_CASE("unknown, ignored and repeated keys are told apart") {
    Reading reading("{known: 1, other: 2, old: 3, known: 4}");
    constexpr std::array<std::string_view, 1> known = {"known"};
    constexpr std::array<Ignored, 1> ignored = {Ignored{"old", "it is old"}};
    reading.root.only(known, ignored);
    REQUIRE(reading.problems.size() == 3);
    CHECK(reading.problems[0].message == "unknown; it has no effect");
    CHECK(reading.problems[0].severity == Problem::Severity::warning);
    CHECK(reading.problems[1].message == "not supported, it has no effect: it is old");
    CHECK(reading.problems[2].message == "is there twice");
    CHECK(reading.problems[2].severity == Problem::Severity::error);
}

TEST_CASE("a list or a mapping that is something else is an error") {
    Reading list("{a: 5}");
    CHECK(list.root.at("a").items().empty());
    CHECK(list.complaint() == "a: expected a list, found \"5\"");
    Reading map("{a: [5]}");
    CHECK_FALSE(map.root.at("a").expect_map("settings"));
    CHECK(map.complaint() == "a: expected a mapping with settings, found a list");
}
