// The explorer itself: how much there is to see in these toys is known by formula, and so is what is wrong
// with them.
#include <catch2/catch.hpp>

#include "tests/model/explorer.hpp"

namespace weir::model {
namespace {

constexpr auto kAny = std::memory_order_relaxed;  // ORDER(counter): the model's words know no orders

/// What the toys have in common: each process runs one operation, and nothing is asked of the states.
template <unsigned Words, unsigned Processes, bool Symmetric>
struct Toy {
    using State = ModelState<Words, Processes, std::uint64_t, std::uint64_t>;
    static constexpr bool kSymmetric = Symmetric;
    static inline ModelWord memory[Words];

    static const void* base() { return memory; }
    State initial() {
        State state{};
        for (auto& process : state.processes) process.operations_left = 1;
        return state;
    }
    void menu(const State& state, unsigned p, std::vector<Call>& calls) const {
        const auto slot = static_cast<std::uint8_t>(Symmetric ? 0 : p);
        if (state.processes[p].operations_left != 0) calls.push_back({0, slot, 0, 0});
    }
    void begin(State&, unsigned, const Call&) {}
    const char* finish(State&, unsigned, const Call&, const Outcome&) { return nullptr; }
    const char* check(const State&) { return nullptr; }
    void observe(State&) const {}
    bool constant(unsigned) const { return false; }
    bool plain(unsigned) const { return false; }
    bool can_die(const State&, unsigned) const { return false; }
    void die(State&, unsigned) {}
    std::string describe(const Call&) const { return "run"; }
};

/// `Steps` additions to one word: to its own if the processes can be told apart, else to the common one.
template <unsigned Processes, unsigned Steps, bool Symmetric>
struct Adders : Toy<Symmetric ? 1 : Processes, Processes, Symmetric> {
    static Outcome run(const Call& call) {
        for (unsigned i = 0; i < Steps; ++i) Adders::memory[call.slot].fetch_add(1, kAny);
        return {};
    }
};

/// Reads and then writes: an update may get lost.
struct LostUpdate : Toy<1, 2, false> {
    unsigned finals[3] = {};

    static Outcome run(const Call&) {
        memory[0].store(memory[0].load(kAny) + 1, kAny);
        return {};
    }
    const char* check(const State& state) {
        const bool over = state.processes[0].operations_left + state.processes[1].operations_left == 0 &&
                          state.processes[0].node + state.processes[1].node == 0;
        if (over) ++finals[state.words[0]];
        return nullptr;
    }
};

/// Waits for another process, which may be dead.
struct Waiting : Toy<1, 2, false> {
    static Outcome run(const Call& call) {
        if (call.slot == 0) {
            memory[0].store(1, kAny);
        } else {
            while (memory[0].load(kAny) == 0) {
            }
        }
        return {};
    }
};

/// Dies at most once, anywhere.
struct Mortal : Adders<1, 3, false> {
    bool can_die(const State& state, unsigned) const { return state.ghost == 0; }
    void die(State& state, unsigned p) {
        state.ghost = 1;
        state.processes[p].operations_left = 0;
    }
};

template <class Subject>
Report explored(std::size_t states_max = 1'000'000) {
    Subject subject;
    return Explorer<Subject>(subject, states_max).run();
}

}  // namespace

TEST_CASE("processes on words of their own: every combination of their positions, once") {
    // (steps + 1) ^ processes states, and in each a step of every process that is not at its end.
    CHECK(explored<Adders<1, 4, false>>().states == 5);
    CHECK(explored<Adders<2, 3, false>>().states == 16);
    CHECK(explored<Adders<2, 3, false>>().transitions == 2 * 3 * 4);
    CHECK(explored<Adders<3, 4, false>>().states == 125);
    CHECK(explored<Adders<3, 4, false>>().transitions == 3 * 4 * 25);
}

TEST_CASE("processes that cannot be told apart: every multiset of their positions, once") {
    // (steps + processes) over processes.
    CHECK(explored<Adders<2, 3, true>>().states == 10);
    CHECK(explored<Adders<3, 4, true>>().states == 35);
}

TEST_CASE("an operation has one local state for each of its accesses and answers") {
    // Two processes of one addition each see 0 or 1; then they have returned, all in one state.
    CHECK(explored<Adders<2, 1, true>>().local_states == 2);
}

TEST_CASE("both outcomes of a lost update are seen") {
    LostUpdate subject;
    const Report report = Explorer<LostUpdate>(subject).run();
    CHECK(report.problem == "");
    CHECK(subject.finals[0] == 0);
    CHECK(subject.finals[1] > 0);
    CHECK(subject.finals[2] > 0);
}

TEST_CASE("a process that waits for another is found out") {
    const Report report = explored<Waiting>();
    CHECK(report.problem == "alone, an operation does not finish");
    CHECK(report.trace == "p1 begins run load word 0 (holds 0)\n");
}

TEST_CASE("a death is possible before, after and at every step") {
    // Alive at 4 positions, dead at as many.
    CHECK(explored<Mortal>().states == 8);
}

TEST_CASE("an exploration that is cut short is a failure") {
    CHECK(explored<Adders<3, 4, false>>(124).problem == "more states than this exploration is meant for");
    CHECK(explored<Adders<3, 4, false>>(125).problem == "");
}

}  // namespace weir::model
