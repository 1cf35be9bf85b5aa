#include "proxy/caller.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/shm/scratch_segment.hpp"

using namespace weir::proxy;
namespace shm = weir::shm;
using weir::router::CallerLimitsConfig;
using namespace std::chrono_literals;

TEST_CASE("limits become windows with their units, lengths and numbers") {
    const shm::test::ScratchName name;
    shm::Segment segment = shm::Segment::open(name.options());
    CallerLimitsConfig limits;
    limits.rpm = 1;
    limits.tpm = 2;
    limits.rpd = 3;
    limits.tpd = 4;
    limits.model_rpm["m"] = 5;
    limits.model_tpm["n"] = 6;
    limits.max_parallel_requests = 7;
    LimitSet set("team", "blue", limits, 10s, shm::Unit::input_tokens, segment);
    CallerScopes scopes;
    set.append("m", scopes);
    REQUIRE(scopes.windows.size() == 5);
    const auto is = [&](std::size_t at, shm::Unit unit, shm::Nanos window, shm::Units limit) {
        CHECK(scopes.windows[at]->unit == unit);
        CHECK(scopes.windows[at]->window == window);
        CHECK(scopes.windows[at]->limit == limit);
    };
    is(0, shm::Unit::requests, 10s, 1);
    is(1, shm::Unit::input_tokens, 10s, 2);
    is(2, shm::Unit::requests, 24h, 3);
    is(3, shm::Unit::input_tokens, 24h, 4);
    is(4, shm::Unit::requests, 10s, 5);
    CHECK(scopes.windows[4]->name == "blue/m");
    CHECK(scopes.windows[4]->kind == "model_per_team");
    CHECK(scopes.holds.size() == 1);
    scopes.clear();
    set.append("other", scopes);
    CHECK(scopes.windows.size() == 4);
}

TEST_CASE("without limits there is nothing to count") {
    const shm::test::ScratchName name;
    shm::Segment segment = shm::Segment::open(name.options());
    LimitSet set("user", "ann", {}, 10s, shm::Unit::tokens, segment);
    CallerScopes scopes;
    set.append("m", scopes);
    CHECK(scopes.windows.empty());
    CHECK(scopes.holds.empty());
}
