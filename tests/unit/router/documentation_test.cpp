#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "router/config_sections.hpp"
#include "router/request_field.hpp"

using namespace weir::router;

namespace {

std::string read(const std::string& name) {
    std::ifstream in(std::string(WEIR_DOCS) + "/" + name);
    std::ostringstream text;
    text << in.rdbuf();
    REQUIRE(in.good());
    return text.str();
}

const SettingTable kTables[] = {top_settings(),     deployment_settings(), router_settings(),
                                litellm_settings(), general_settings(),    weir_settings(),
                                redis_settings(),   caller_settings()};

/// How the table in docs/litellm.md shows `ignored`.
std::string row(const Ignored& ignored) {
    std::string text = "| `";
    for (const char c : ignored.names) {
        if (c == ' ') {
            text += "`, `";
        } else {
            text += c;
        }
    }
    return text + "` | " + std::string(ignored.why) + " |\n";
}

const SettingTable* find_table(const std::string& section) {
    for (const auto& table : kTables) {
        if (table.section == section) return &table;
    }
    return nullptr;
}

bool is_known(const SettingTable& table, const std::string& key) {
    return std::find(table.known.begin(), table.known.end(), key) != table.known.end();
}

/// By a pattern that is there for others, too, a setting that works is not ignored.
bool is_ignored(const SettingTable& table, const std::string& key) {
    return !is_known(table, key) && std::any_of(table.ignored.begin(), table.ignored.end(),
                                                [&](const Ignored& one) { return one.has(key); });
}

}  // namespace

TEST_CASE("every setting that works is in docs/config.md") {
    const std::string text = read("config.md");
    for (const auto& table : kTables) {
        for (const auto key : table.known) {
            CAPTURE(table.section, key);
            CHECK(text.find("`" + std::string(key) + "`") != std::string::npos);
        }
    }
}

TEST_CASE("every setting that has no effect is in docs/litellm.md, with the reason, and no other is") {
    const std::string text = read("litellm.md");
    for (const auto& table : kTables) {
        CAPTURE(table.section);
        const auto section = text.find("### `" + std::string(table.section) + "`");
        if (table.ignored.empty()) {
            CHECK(section == std::string::npos);
            continue;
        }
        REQUIRE(section != std::string::npos);
        std::string expected = "| Settings | Why |\n|---|---|\n";
        for (const auto& ignored : table.ignored) expected += row(ignored);
        const auto begin = text.find("| Settings", section);
        CHECK(text.substr(begin, text.find("\n\n", begin) + 1 - begin) == expected);
    }
}

TEST_CASE("every setting of LiteLLM's is known, and said to work or not to") {
    std::ifstream in(std::string(WEIR_UNIT_TESTS) + "/router/litellm_settings.txt");
    REQUIRE(in.good());
    const SettingTable* table = nullptr;
    std::size_t count = 0;
    std::string word;
    while (in >> word) {
        if (word.back() == ':') {
            table = find_table(word.substr(0, word.size() - 1));
            continue;
        }
        if (!table) continue;  // the preface
        CAPTURE(table->section, word);
        CHECK(is_known(*table, word) != is_ignored(*table, word));
        ++count;
    }
    CHECK(count > 900);
}

TEST_CASE("every field of a body that is meant for the router is documented") {
    const std::string config = read("config.md");
    const std::string litellm = read("litellm.md");
    const auto begin = litellm.find("### Fields of a request's body");
    REQUIRE(begin != std::string::npos);
    const auto part = litellm.substr(begin);
    for (const KnownField& known : kKnownFields) {
        if (!is_own(known.field)) continue;
        CAPTURE(known.name);
        const std::string quoted = "`" + std::string(known.name) + "`";
        if (known.why.empty()) {
            CHECK(config.find(quoted) != std::string::npos);
            continue;
        }
        const auto line = part.find(quoted);
        REQUIRE(line != std::string::npos);
        const auto row = part.substr(line, part.find('\n', line) - line);
        CHECK(row.find(known.why) != std::string::npos);
        CHECK((row.find("400") != std::string::npos) == (known.field == BodyField::refused));
    }
}
