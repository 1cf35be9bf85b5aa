// Every interleaving of small cases of the in-flight gauge, deaths among them. What is checked:
// in_flight_model.hpp. WEIR_LONG=1 explores larger cases.
#include <catch2/catch.hpp>

#include "tests/model/in_flight_model.hpp"
#include "tests/support/long_form.hpp"

namespace weir::model {
namespace {

using weir::test::long_form;

template <unsigned Processes>
std::size_t explore(const GaugeScenario& scenario) {
    using Model = InFlightModel<Processes>;
    Model model(scenario);
    const Report report = Explorer<Model>(model).run();
    WARN(report.states << " states, " << report.transitions << " transitions, " << report.local_states
                       << " local states, longest operation " << report.longest << " accesses, "
                       << model.states_at_rest() << " at rest");
    INFO(report.trace);
    CHECK(report.problem == "");
    CHECK(report.states > 1000);
    CHECK(model.states_at_rest() > 10);
    return model.evictions();
}

TEST_CASE("two participants take and drop, and each may die") {
    GaugeScenario scenario;
    scenario.operations = 3;
    explore<2>(scenario);
}

TEST_CASE("two participants and a maximum of two") {
    GaugeScenario scenario;
    scenario.max = 2;
    scenario.operations = long_form() ? 4 : 3;
    explore<2>(scenario);
}

TEST_CASE("three participants, of whom any two may die") {
    GaugeScenario scenario;
    scenario.max = 2;
    scenario.operations = long_form() ? 2 : 1;
    scenario.deaths = 2;
    explore<3>(scenario);
}

TEST_CASE("the sequence of changes wraps around") {
    GaugeScenario scenario;
    scenario.operations = 3;
    scenario.sequence = 0xffff'fffe;
    explore<2>(scenario);
}

TEST_CASE("a gauge is evicted only while it is idle, and nobody holds anything of it afterwards") {
    GaugeScenario scenario;
    scenario.max = 2;
    scenario.evicts = true;
    scenario.operations = 3;
    CHECK(explore<2>(scenario) > 0);
    if (!long_form()) return;
    scenario.operations = 2;  // 98 million states
    CHECK(explore<3>(scenario) > 0);
}

TEST_CASE("caught: a slot taken without a second look at whether the gauge was evicted") {
    GaugeScenario scenario;
    scenario.evicts = true;
    scenario.looks_once = true;
    using Model = InFlightModel<2>;
    Model model(scenario);
    const Report report = Explorer<Model>(model).run();
    WARN(report.states << " states until: " << report.problem << '\n' << report.trace);
    CHECK(report.problem == "a slot is held of a gauge that has been evicted");
}

TEST_CASE("caught: a change brought to its cell by a plain store") {
    GaugeScenario scenario;
    scenario.operations = 3;
    scenario.plain_words = 0b1110;
    using Model = InFlightModel<2>;
    Model model(scenario);
    const Report report = Explorer<Model>(model).run();
    WARN(report.states << " states until: " << report.problem << '\n' << report.trace);
    CHECK(report.problem != "");
}

}  // namespace
}  // namespace weir::model
