#include "loadtest/progress.hpp"

#include <catch2/catch.hpp>

using namespace weir::loadtest;

TEST_CASE("a bar fills with the answers") {
    const std::string bar(40, '#');
    const std::string blank(40, ' ');
    CHECK(bar_text(0, 600) == "[" + blank + "] 0/600");
    CHECK(bar_text(14, 600) == "[" + blank + "] 14/600");
    CHECK(bar_text(15, 600) == "[#" + blank.substr(1) + "] 15/600");
    CHECK(bar_text(300, 600) == "[" + bar.substr(20) + blank.substr(20) + "] 300/600");
    CHECK(bar_text(599, 600) == "[" + bar.substr(1) + " ] 599/600");
    CHECK(bar_text(600, 600) == "[" + bar + "] 600/600");
}

TEST_CASE("a bar is never longer than itself") {
    const std::string bar(40, '#');
    CHECK(bar_text(700, 600) == "[" + bar + "] 700/600");
    CHECK(bar_text(0, 0) == "[" + bar + "] 0/0");
}

TEST_CASE("a wait is told in whole seconds that are not over yet") {
    using namespace std::chrono_literals;
    CHECK(wait_text(10s) == "next batch in 10 s");
    CHECK(wait_text(9001ms) == "next batch in 10 s");
    CHECK(wait_text(1ms) == "next batch in 1 s");
}

TEST_CASE("nothing is drawn on what is no terminal") {
    std::FILE* file = std::tmpfile();
    REQUIRE(file != nullptr);
    Progress progress(file);
    progress.show(1, 2);
    progress.show_wait(Nanos(1));
    progress.clear();
    CHECK(std::ftell(file) == 0);
    std::fclose(file);
}
