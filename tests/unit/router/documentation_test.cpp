#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>

#include "router/config_sections.hpp"

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

TEST_CASE("every setting that has no effect is in docs/litellm.md, with the reason") {
    const std::string text = read("litellm.md");
    for (const auto& table : kTables) {
        const auto section = text.find("### `" + std::string(table.section) + "`");
        CAPTURE(table.section);
        if (table.ignored.empty()) continue;
        REQUIRE(section != std::string::npos);
        const auto part = text.substr(section, text.find("\n### ", section + 1) - section);
        for (const auto& ignored : table.ignored) {
            CAPTURE(ignored.key);
            const auto line = part.find("`" + std::string(ignored.key) + "`");
            REQUIRE(line != std::string::npos);
            CHECK(part.substr(line, part.find('\n', line) - line).find(ignored.why) !=
                  std::string::npos);
        }
    }
}
