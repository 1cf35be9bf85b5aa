// Every interleaving of small cases of the window limiter. What is checked: window_model.hpp.
//
// WEIR_LONG=1 explores larger cases: minutes and up to 4 GB instead of seconds each. An exploration
// that does not come to its end fails.
#include <catch2/catch.hpp>

#include "tests/model/window_model.hpp"
#include "tests/support/long_form.hpp"

namespace weir::model {
namespace {

using weir::test::long_form;

template <unsigned Ticks, unsigned Ring, unsigned TagBits>
using Words = shm::WindowState<ModelWord, shm::WindowGeometry<Ticks, Ring, TagBits>>;

using OneTick = Words<1, 3, 5>;
using TwoTicks = Words<2, 4, 5>;
using Choices = std::vector<std::uint64_t>;

template <unsigned Processes, class W>
void explore(const Scenario& scenario) {
    using Model = WindowModel<shm::Window<W>, W, Processes>;
    Model model(scenario);
    Explorer<Model> explorer(model);
    const Report report = explorer.run();
    WARN(report.states << " states, " << report.transitions << " transitions, "
                       << report.local_states << " local states, longest operation "
                       << report.longest << " accesses, " << model.quiet_states() << " at rest");
    INFO(report.trace);
    CHECK(report.problem == "");
    CHECK(report.states > 1000);
    CHECK(model.quiet_states() > 0);
}

TEST_CASE("two processes, two admissions each, at any clocks") {
    Scenario scenario;
    const Choices ticks = long_form() ? Choices{0, 1, 2, 4} : Choices{0, 1, 4};
    explore<2, OneTick>(scenario.offer(op_admit, ticks, {1}));
}

TEST_CASE("two processes, a window of two ticks, a limit of two, weighted units") {
    Scenario scenario;
    scenario.limit = 2;
    const Choices ticks = long_form() ? Choices{0, 1, 5} : Choices{0, 3};
    explore<2, TwoTicks>(scenario.offer(op_admit, ticks, {1, 2}));
}

TEST_CASE("two processes admit and give back, whole and in part") {
    Scenario scenario;
    scenario.limit = 2;
    scenario.operations = 3;
    scenario.refunds = true;
    const Choices ticks = long_form() ? Choices{0, 1, 3} : Choices{0, 3};
    explore<2, OneTick>(scenario.offer(op_admit, ticks, {2}));
}

TEST_CASE("two processes give back across a window of two ticks") {
    Scenario scenario;
    scenario.limit = 2;
    scenario.operations = long_form() ? 3 : 2;
    scenario.refunds = true;
    scenario.prefix = {{op_admit, 0, 1024, 1}};
    scenario.offer(op_admit, {0, 2}, {2}).offer(op_admit, {1}, {1});
    explore<2, TwoTicks>(scenario);
}

TEST_CASE("two processes charge beyond the limit") {
    Scenario scenario;
    scenario.operations = 2;
    scenario.refunds = true;
    scenario.offer(op_admit, long_form() ? Choices{0, 1, 4} : Choices{1, 4}, {1});
    explore<2, OneTick>(scenario.offer(op_charge, long_form() ? Choices{0, 2} : Choices{2}, {2}));
}

TEST_CASE("the limit changes while two processes admit") {
    Scenario scenario;
    scenario.limit = 2;
    scenario.offer(op_admit, long_form() ? Choices{0, 1, 3} : Choices{0, 1}, {1, 2});
    explore<2, OneTick>(scenario.offer(op_limit, {0}, {1, 3}));
}

TEST_CASE("a host's part is lowered for good while two processes admit") {
    Scenario scenario;
    scenario.limit = 2;
    scenario.offer(op_admit, long_form() ? Choices{0, 1, 3} : Choices{0, 1}, {1, 2});
    explore<2, OneTick>(scenario.offer(op_part, long_form() ? Choices{0, 1} : Choices{0}, {0, 1}));
}

TEST_CASE("two processes charge all but what is left, and admit") {
    Scenario scenario;
    scenario.limit = 3;
    scenario.offer(op_admit, long_form() ? Choices{0, 1, 3} : Choices{0, 3}, {1});
    scenario.offer(op_leave, long_form() ? Choices{0, 1, 3} : Choices{0, 3}, {0, 2});
    explore<2, OneTick>(scenario);
    scenario.refunds = true;
    scenario.menu.clear();
    scenario.offer(op_admit, {0, 1}, {2}).offer(op_leave, {0, 2}, {1});
    explore<2, OneTick>(scenario);
}

TEST_CASE("two processes come after about as long as the ring, or twice as long") {
    Scenario scenario;
    scenario.prefix = {{op_admit, 0, 1024, 1}};
    explore<2, OneTick>(scenario.offer(op_admit, long_form() ? Choices{1, 2, 3, 4} : Choices{2, 3}, {1}));
    scenario.menu.clear();
    explore<2, OneTick>(scenario.offer(op_admit, long_form() ? Choices{3, 5, 6, 7} : Choices{5, 6}, {1}));
    scenario.menu.clear();
    scenario.limit = 2;
    explore<2, TwoTicks>(scenario.offer(op_admit, long_form() ? Choices{3, 4, 7, 8} : Choices{3, 4}, {1, 2}));
}

TEST_CASE("three processes admit at any clocks") {
    Scenario scenario;
    scenario.operations = 1;
    scenario.limit = 2;
    scenario.prefix = {{op_admit, 0, 1024, 1}};
    scenario.offer(op_admit, long_form() ? Choices{0, 1, 2} : Choices{0, 2}, {1});
    explore<3, OneTick>(scenario);
}

TEST_CASE("three processes admit after a longer gap") {
    Scenario scenario;
    scenario.operations = 1;
    scenario.prefix = {{op_admit, 0, 1024, 1}};
    scenario.offer(op_admit, long_form() ? Choices{1, 3} : Choices{3}, {1});
    explore<3, OneTick>(scenario);
}

TEST_CASE("a reader beside two processes misses nothing that is in the window") {
    Scenario scenario;
    scenario.limit = 3;
    scenario.operations = 2;
    scenario.readers = true;
    scenario.prefix = {{op_admit, 0, 1024, 1}, {op_admit, 0, 1025, 1}};
    scenario.offer(op_admit, {1, 2, 3}, {1});
    explore<2, TwoTicks>(scenario.offer(op_look, {1, 2}, {0}).offer(op_earliest, {1, 2}, {2, 3}));
}

TEST_CASE("tags and units wrap around") {
    Scenario scenario;
    const std::uint64_t much = shm::Window<OneTick>::kUnitsMax;
    // The oracle's ticks begin two ticks before the tags do again; C stands just below its wrap.
    scenario.origin = 32 * 32 - 12;
    scenario.base = 32 * 32 - 2;
    scenario.limit = 2;
    scenario.refunds = true;
    scenario.prefix = {{op_charge, 0, scenario.origin, much},
                       {op_charge, 0, scenario.origin + 4, much}};
    if (long_form()) {
        scenario.offer(op_admit, {0, 1, 2, 5}, {1, 2});
    } else {
        scenario.offer(op_admit, {1, 2}, {1, 2});
    }
    explore<2, OneTick>(scenario);
    // One is on a long way to the first of these ticks, the other on a longer one to the last.
    scenario.prefix = {{op_charge, 0, scenario.origin + 4, 1}};
    scenario.refunds = false;
    scenario.menu.clear();
    explore<2, OneTick>(scenario.offer(op_admit, {0, 5}, {1}));
}

TEST_CASE("idle for longer than the tags can tell") {
    Scenario scenario;
    scenario.origin = 1024 - 32;
    scenario.prefix = {{op_admit, 0, scenario.origin, 1}};
    scenario.operations = long_form() ? 2 : 1;
    explore<2, OneTick>(scenario.offer(op_admit, {0, 1, 11}, {1}));
    if (!long_form()) return;
    scenario.operations = 1;
    scenario.menu.clear();
    explore<3, OneTick>(scenario.offer(op_admit, {0}, {1}));
}

}  // namespace
}  // namespace weir::model
