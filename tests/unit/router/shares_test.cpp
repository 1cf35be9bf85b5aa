#include "router/shares.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <string>

using namespace weir::router;

namespace {

PrioritySettings settings(double threshold) {
    PrioritySettings s;
    s.shares = {{"prod", 0.7}, {"dev", 0.2}};
    s.default_share = 0.1;
    s.saturation_threshold = threshold;
    return s;
}

/// Priorities that ask in turn by chance, until nobody gets anything any more.
std::map<std::string, weir::shm::Units> fill(const PrioritySettings& s,
                                             std::initializer_list<std::string> who,
                                             weir::shm::Units limit, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::map<std::string, weir::shm::Units> used;
    weir::shm::Units total = 0;
    const std::vector<std::string> names(who);
    for (weir::shm::Units i = 0; i < limit * 20; ++i) {
        const auto& name = names[random() % names.size()];
        const ShareRule rule{share_of(s, name), s.saturation_threshold};
        if (total >= limit || !share_allows(rule, {limit, total, used[name], 1})) continue;
        ++used[name];
        ++total;
    }
    return used;
}

}  // namespace

TEST_CASE("priorities have their shares, the rest the default") {
    const auto s = settings(0.5);
    CHECK(share_of(s, "prod") == 0.7);
    CHECK(share_of(s, "") == 0.1);
    CHECK(share_of(s, "unknown") == 0.1);
    CHECK(reserved_units(10, 0.9) == 9);
    CHECK(reserved_units(10, 0.0) == 0);
    CHECK(reserved_units(10, -1) == 0);
    CHECK(reserved_units(10, 7) == 10);
    CHECK(reserved_units(1, 0.5) == 0);
    CHECK(reserved_units(0, 0.5) == 0);
}

TEST_CASE("a priority that is alone gets the larger of its share and the threshold") {
    CHECK(fill(settings(0.5), {"dev"}, 1000, 1).at("dev") == 500);
    CHECK(fill(settings(0.5), {"prod"}, 1000, 1).at("prod") == 700);
    CHECK(fill(settings(1.0), {"dev"}, 1000, 1).at("dev") == 1000);
    CHECK(fill(settings(0.0), {"dev"}, 1000, 1).at("dev") == 200);
}

TEST_CASE("without borrowing everybody gets exactly the own share, whoever asks first") {
    for (std::uint64_t seed = 1; seed < 20; ++seed) {
        const auto used = fill(settings(0.0), {"prod", "dev", "other"}, 1000, seed);
        CHECK(used.at("prod") == 700);
        CHECK(used.at("dev") == 200);
        CHECK(used.at("other") == 100);
    }
}

TEST_CASE("borrowing stops at the threshold, so that the rest is there for its owners") {
    const auto s = settings(0.3);
    // dev has filled the limit up to the threshold.
    CHECK(share_allows({0.2, s.saturation_threshold}, {1000, 299, 299, 1}));
    CHECK_FALSE(share_allows({0.2, s.saturation_threshold}, {1000, 300, 300, 1}));
    // prod still gets all of its share.
    const auto used = fill(s, {"prod"}, 1000, 1);
    CHECK(used.at("prod") == 700);
    CHECK(share_allows({0.7, s.saturation_threshold}, {1000, 999, 699, 1}));
    CHECK_FALSE(share_allows({0.7, s.saturation_threshold}, {1000, 999, 700, 1}));
}

TEST_CASE("costs of many units neither overflow nor slip through") {
    const auto s = settings(0.5);
    CHECK(share_allows({0.7, s.saturation_threshold}, {1000, 0, 0, 700}));
    CHECK_FALSE(share_allows({0.7, s.saturation_threshold}, {1000, 0, 0, 701}));
    CHECK_FALSE(share_allows({0.7, s.saturation_threshold}, {1000, 0, 0, ~weir::shm::Units{0}}));
    constexpr weir::shm::Units kAll = ~weir::shm::Units{0};
    CHECK_FALSE(share_allows({0.7, s.saturation_threshold}, {1000, kAll, kAll, 1}));
    CHECK(share_allows({0.7, s.saturation_threshold}, {1000, 5000, 5000, 0}) == false);
}
