#include "proxy/request_id.hpp"

#include <catch2/catch.hpp>
#include <set>

using weir::proxy::IdSource;

TEST_CASE("a request keeps the name that it came with, if it can stand in a line") {
    IdSource ids(1);
    CHECK(ids.choose("mine-1") == "mine-1");
    CHECK(ids.choose(std::string(128, 'x')) == std::string(128, 'x'));
    for (const std::string& wrong :
         {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a\tb"),
          std::string("a\x7f"), std::string("\xc3\xa4")}) {
        CHECK(ids.choose(wrong) != wrong);
    }
}

TEST_CASE("names that are given are UUIDs of version 4, all different") {
    IdSource ids(7);
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::string id = ids.choose({});
        REQUIRE(id.size() == 36);
        for (std::size_t at = 0; at < id.size(); ++at) {
            const bool dash = at == 8 || at == 13 || at == 18 || at == 23;
            CHECK((id[at] == '-') == dash);
        }
        CHECK(id[14] == '4');
        CHECK(std::string("89ab").find(id[19]) != std::string::npos);
        seen.insert(id);
    }
    CHECK(seen.size() == 1000);
    CHECK(IdSource(8).choose({}) != IdSource(9).choose({}));
}
