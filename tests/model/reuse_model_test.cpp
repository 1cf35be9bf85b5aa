// Every interleaving of an eviction with those who come by handles of the life before and after it. What is
// checked: reuse_model.hpp. That the guard's steps are all needed is shown by leaving each of them out.
#include <catch2/catch.hpp>

#include "tests/model/reuse_model.hpp"
#include "tests/support/long_form.hpp"

namespace weir::model {
namespace {

using Guard = shm::GuardedWindow<ReusedRecord>;
using shm::Contention;
using shm::Nanos;
using shm::Units;
using shm::Verdict;
using weir::test::long_form;

template <class G, unsigned OldOnes, unsigned NewOnes>
std::string problem_of(const ReuseScenario& scenario, std::size_t states_min) {
    using Model = ReuseModel<G, OldOnes, NewOnes>;
    Model model(scenario);
    const Report report = Explorer<Model>(model).run();
    WARN(report.states << " states, " << report.transitions << " transitions, longest operation "
                       << report.longest << " accesses, " << model.states_at_rest() << " at rest\n"
                       << report.problem << '\n' << report.trace);
    CHECK(report.states >= states_min);
    return report.problem;
}

/// Old handles come while the record is idle, at the time of the eviction or before.
ReuseScenario at_once() {
    ReuseScenario scenario;
    scenario.old_times = {8};
    scenario.evict_times = {8};
    scenario.new_times = {8};
    if (!long_form()) return scenario;
    scenario.old_times.push_back(0);
    scenario.new_times.push_back(12);
    return scenario;
}

/// What was charged at time 0 has expired by 8, and not yet by 4.
ReuseScenario with_a_ticket() {
    ReuseScenario scenario;
    scenario.ticket = true;
    scenario.evictions = 2;
    scenario.old_times = {4};
    scenario.evict_times = {4, 8};
    scenario.new_times = {8, 10};
    return scenario;
}

TEST_CASE("an eviction beside an admission by an old handle and two of the new life") {
    CHECK(problem_of<Guard, 1, 2>(at_once(), 10'000) == "");
}

TEST_CASE("an eviction beside old handles that admit and charge") {
    ReuseScenario scenario = at_once();
    scenario.charges = true;
    CHECK(problem_of<Guard, 1, 1>(scenario, 10'000) == "");
}

TEST_CASE("an eviction beside a ticket that is given back before, meanwhile or too late") {
    CHECK(problem_of<Guard, 1, 1>(with_a_ticket(), 10'000) == "");
    if (long_form()) CHECK(problem_of<Guard, 1, 2>(with_a_ticket(), 10'000) == "");
}

TEST_CASE("an eviction to a life with longer ticks") {
    ReuseScenario scenario = at_once();
    std::swap(scenario.old_tick_ns, scenario.new_tick_ns);
    scenario.charges = true;
    CHECK(problem_of<Guard, 1, 1>(scenario, 1'000) == "");
}

TEST_CASE("an eviction beside old handles that set the limit") {
    ReuseScenario scenario = at_once();
    scenario.old_set = 3;
    scenario.old_operations = 2;
    CHECK(problem_of<Guard, 1, 1>(scenario, 10'000) == "");
}

/// The life is looked at before the head is read, and not after.
struct OneLook : Guard {
    static Done admit(ReusedRecord& record, std::uint64_t generation, Nanos now, Units units,
                      Contention& contention) noexcept {
        const shm::RecordTicks ticks(record);
        if (!shm::still_lives(record, generation)) return {Verdict::evicted, 0, 0, now};
        const shm::Decision decision = W::admit(record.state, ticks.at(now), units, contention);
        return {decision.verdict, decision.tick, units, now};
    }
};

/// The life is looked at before the parameters are read, and after the head, but not in between: the ring may
/// be moved to where no clock will be for a long time.
struct ParametersAfterwards : Guard {
    static Done charge(ReusedRecord& record, std::uint64_t generation, Nanos now, Units units,
                       Contention& contention) noexcept {
        const auto meant = [&] { return shm::still_lives(record, generation); };
        if (!meant()) return {Verdict::evicted, 0, 0, now};
        const shm::RecordTicks ticks(record);
        const shm::Charged done = W::charge(record.state, ticks.at(now), units, contention, meant);
        return {done.verdict, done.tick, done.units, now};
    }
};

/// The head is left as it is.
struct NoClosing : Guard {
    static bool retire(ReusedRecord& record, Nanos now) noexcept {
        return W::look(record.state, shm::RecordTicks(record).at(now)).used == 0;
    }
};

/// The words begin anew, and ticks with them.
struct TicksGoBack : Guard {
    static void renew(ReusedRecord& record, const shm::TickScale& scale, Units limit, Nanos now) noexcept {
        record.reciprocal.store(scale.reciprocal(), std::memory_order_relaxed);  // ORDER(parameters): a model
        record.base.store(0, std::memory_order_relaxed);                         // ORDER(parameters)
        W::reset(record.state, scale.tick_at(now), limit);
    }
};

/// The life is looked at, and then the limit is stored.
struct LimitByStore : Guard {
    static std::optional<Units> set_limit(ReusedRecord& record, std::uint64_t generation,
                                          Units limit) noexcept {
        if (!shm::still_lives(record, generation)) return std::nullopt;
        record.state.limit.store(limit, std::memory_order_relaxed);  // ORDER(limit): a model
        return limit;
    }
};

TEST_CASE("caught: the life looked at before the head is read, and not after") {
    CHECK(problem_of<OneLook, 1, 1>(at_once(), 1) != "");
}

TEST_CASE("caught: parameters of the next life, read after the life was looked at") {
    ReuseScenario scenario = at_once();
    std::swap(scenario.old_tick_ns, scenario.new_tick_ns);
    scenario.charges = true;
    CHECK(problem_of<ParametersAfterwards, 1, 1>(scenario, 1) == "a limiter is ahead of every clock");
}

TEST_CASE("caught: a limit that is stored after the life was looked at") {
    ReuseScenario scenario = at_once();
    scenario.old_set = 3;
    CHECK(problem_of<LimitByStore, 1, 1>(scenario, 1) == "the new life has another's limit");
}

TEST_CASE("caught: an eviction that does not close the head") {
    CHECK(problem_of<NoClosing, 1, 1>(at_once(), 1) == "evicted with units that still count");
}

TEST_CASE("caught: a record whose ticks go back from one life to the next") {
    CHECK(problem_of<TicksGoBack, 1, 2>(with_a_ticket(), 1) != "");
}

}  // namespace
}  // namespace weir::model
