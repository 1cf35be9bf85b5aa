#include "router/tag_filter.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace weir::router;

namespace {

using Tags = std::vector<std::string>;

/// The places of those of `group` that a request with `tags` may go to.
std::vector<std::size_t> allowed(const TagRules& rules, const Tags& tags, const std::vector<Tags>& group) {
    TagFilter filter(rules, tags);
    for (const Tags& deployment : group) filter.see(deployment);
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < group.size(); ++i) {
        if (filter.allows(group[i])) places.push_back(i);
    }
    return places;
}

using Places = std::vector<std::size_t>;
constexpr TagRules kAny{true, true};
constexpr TagRules kAll{true, false};
const std::vector<Tags> kGroup{{"free"}, {"paid", "eu"}, {"default"}, {}};

}  // namespace

TEST_CASE("tags do nothing unless they are told to") {
    CHECK(allowed({}, {"paid"}, kGroup) == Places{0, 1, 2, 3});
    CHECK(TagFilter().allows(Tags{"x"}));
}

TEST_CASE("a request goes to those that have one of its tags, or all of them") {
    CHECK(allowed(kAny, {"free"}, kGroup) == Places{0});
    CHECK(allowed(kAny, {"eu", "free"}, kGroup) == Places{0, 1});
    CHECK(allowed(kAll, {"eu", "paid"}, kGroup) == Places{1});
    CHECK(allowed(kAny, {"default"}, kGroup) == Places{2});
}

TEST_CASE("if none has them, and if the request has none, to the default ones") {
    CHECK(allowed(kAny, {"other"}, kGroup) == Places{2});
    CHECK(allowed(kAll, {"eu", "free"}, kGroup) == Places{2});
    CHECK(allowed(kAny, {}, kGroup) == Places{2});
}

TEST_CASE("without default ones a request without tags goes anywhere, one with unknown tags nowhere") {
    const std::vector<Tags> group{{"free"}, {}};
    CHECK(allowed(kAny, {}, group) == Places{0, 1});
    CHECK(allowed(kAny, {"paid"}, group).empty());
}
