// The in-flight gauge as the explorer sees it: participants that take, drop and die, and others that
// clear the share of the dead.
//
// Checked
//   at each taking       no more are held than the maximum, counting what the dead had until it is cleared
//   in every state       were all processes dead now, one more clears their shares, in a bounded number of
//                        steps, and can then take exactly the maximum
//   between operations   with nobody under way and the dead cleared, the total and every share are exact
//
// Thread safety: none.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "shm/in_flight.hpp"
#include "tests/model/explorer.hpp"

namespace weir::model {

struct GaugeScenario {
    std::uint64_t max = 1;
    unsigned operations = 2;          // of each process
    unsigned deaths = 1;              // at most
    std::uint64_t sequence = 0;       // of the last change before the exploration begins
    std::uint64_t plain_words = 0;    // bit mask: planted fault, see Explorer
};

template <unsigned Processes>
class InFlightModel {
    using Gauge = shm::InFlight<ModelWord>;
    enum Operation : std::uint8_t { op_take, op_drop, op_clear };

    static constexpr unsigned kSlots = Processes + 1;  // the last is the survivor's
    struct Words {
        ModelWord total;
        ModelWord cells[kSlots];
    };
    static constexpr unsigned kWords = sizeof(Words) / 8;

    struct Own {
        std::uint64_t held;  // as the process knows it: taken, and not yet begun to drop
    };
    struct Ghost {
        std::uint32_t dead;     // bit mask
        std::uint32_t cleared;  // bit mask: somebody has cleared its share after its death
    };

 public:
    using State = ModelState<kWords, Processes, Own, Ghost>;
    static constexpr bool kSymmetric = false;

    explicit InFlightModel(const GaugeScenario& scenario) : scenario_(scenario) {}

    static const void* base() { return &memory_; }

    static Outcome run(const Call& call) {
        static std::uint64_t retries;  // not on the stack: no part of the local state
        switch (call.kind) {
            case op_take:
                return {static_cast<std::uint64_t>(Gauge::take(view(), call.slot, call.units, retries)), 0};
            case op_drop:
                Gauge::drop(view(), call.slot, retries);
                return {};
            default:
                Gauge::clear_share(view(), call.slot);
                return {};
        }
    }

    State initial() {
        State state{};
        state.words[0] = state.words[1] = scenario_.sequence << 32;
        for (auto& process : state.processes) process.operations_left = scenario_.operations;
        return state;
    }

    void menu(const State& state, unsigned p, std::vector<Call>& calls) const {
        const auto& process = state.processes[p];
        if (process.operations_left == 0 || is(state.ghost.dead, p)) return;
        const auto slot = static_cast<std::uint8_t>(p);
        calls.push_back({op_take, slot, 0, scenario_.max});
        if (process.own.held != 0) calls.push_back({op_drop, slot, 0, 0});
        for (unsigned q = 0; q < Processes; ++q) {
            if (is(state.ghost.dead, q)) calls.push_back({op_clear, static_cast<std::uint8_t>(q), 0, 0});
        }
    }

    void begin(State& state, unsigned p, const Call& call) {
        if (call.kind == op_drop) --state.processes[p].own.held;
        if (call.kind == op_clear) state.processes[call.slot].own.held = 0;
    }

    const char* finish(State& state, unsigned p, const Call& call, const Outcome& outcome) {
        if (call.kind == op_clear) state.ghost.cleared |= 1u << call.slot;
        if (call.kind != op_take) return nullptr;
        const auto hold = static_cast<shm::Hold>(outcome.verdict);
        if (hold == shm::Hold::corrupt) return "reported corruption that is none";
        if (hold == shm::Hold::taken) ++state.processes[p].own.held;
        return held_by_all(state) > scenario_.max ? "more are held than the maximum" : nullptr;
    }

    void observe(State&) const {}

    const char* check(const State& state) {
        Hash128 words;
        words.add(state.words.data(), sizeof state.words);
        if (probed_.insert(words)) {
            if (const char* problem = survivor_right(state)) return problem;
        }
        for (const auto& process : state.processes) {
            if (process.node != 0) return nullptr;
        }
        if (state.ghost.dead != state.ghost.cleared) return nullptr;
        ++at_rest_;
        return exact(state);
    }

    bool constant(unsigned) const { return false; }
    bool plain(unsigned word) const { return (scenario_.plain_words >> word & 1) != 0; }
    bool can_die(const State& state, unsigned p) const {
        return !is(state.ghost.dead, p) &&
               static_cast<unsigned>(__builtin_popcount(state.ghost.dead)) < scenario_.deaths;
    }
    void die(State& state, unsigned p) { state.ghost.dead |= 1u << p; }
    std::size_t states_at_rest() const { return at_rest_; }

    std::string describe(const Call& call) const {
        static constexpr const char* kNames[] = {"take", "drop", "clear"};
        return std::string(kNames[call.kind]) + "(slot " + std::to_string(call.slot) + ")";
    }

 private:
    /// Alone, clearing all shares and taking all slots takes no more accesses than this.
    static constexpr std::uint64_t kAloneMax = 200;

    static typename Gauge::View view() { return {memory_.total, memory_.cells, kSlots}; }
    static bool is(std::uint32_t mask, unsigned p) { return (mask >> p & 1) != 0; }

    static std::uint64_t held_by_all(const State& state) {
        return std::accumulate(
            state.processes.begin(), state.processes.end(), std::uint64_t{0},
            [](std::uint64_t sum, const auto& process) { return sum + process.own.held; });
    }
    static void restore(const State& state) {
        memory_.total.value_ = state.words[0];
        for (unsigned i = 0; i < kSlots; ++i) memory_.cells[i].value_ = state.words[1 + i];
    }

    const char* survivor_right(const State& state) {
        restore(state);
        direct_accesses = 0;
        for (unsigned p = 0; p < Processes; ++p) Gauge::clear_share(view(), p);
        if (Gauge::count(memory_.total) != 0) return "a cleared gauge still counts";
        std::uint64_t retries = 0;
        std::uint64_t taken = 0;
        while (taken <= scenario_.max &&
               Gauge::take(view(), Processes, scenario_.max, retries) == shm::Hold::taken) {
            ++taken;
        }
        if (taken != scenario_.max) return "a survivor cannot take exactly the maximum";
        return direct_accesses > kAloneMax ? "a survivor takes too many steps" : nullptr;
    }

    static const char* exact(const State& state) {
        restore(state);
        if (Gauge::count(memory_.total) != held_by_all(state)) return "the total is not what is held";
        for (unsigned p = 0; p < Processes; ++p) {
            if (Gauge::share(view(), p) != state.processes[p].own.held) return "a share is not exact";
        }
        return nullptr;
    }

    static inline Words memory_{};
    GaugeScenario scenario_;
    HashSet probed_;
    std::size_t at_rest_ = 0;
};

}  // namespace weir::model
