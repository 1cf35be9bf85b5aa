// The in-flight gauge as the explorer sees it: participants that take, drop and die, and others that
// clear the share of the dead.
//
// Checked
//   at each taking       no more are held than the maximum, counting what the dead had until it is cleared
//   after an eviction    nobody holds anything of the gauge that has gone
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
    bool evicts = false;              // process 0 does nothing but try to give the gauge another name
    bool looks_once = false;          // planted fault: a slot is taken without a second look at `life`
};

template <unsigned Processes>
class InFlightModel {
    using Gauge = shm::InFlight<ModelWord>;
    enum Operation : std::uint8_t { op_take, op_take_blindly, op_drop, op_clear, op_evict };
    enum Life : std::uint64_t { live, checking, gone };
    static constexpr std::uint64_t kEvicted = 3;  // a verdict beside those of shm::Hold

    static constexpr unsigned kSlots = Processes + 1;  // the last is the survivor's
    struct Words {
        ModelWord total;
        ModelWord cells[kSlots];
        ModelWord life;
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
            case op_take_blindly:
                return {take(call, retries), 0};
            case op_evict:
                return {evict() ? 1u : 0u, 0};
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
        if (scenario_.evicts && p == 0) return calls.push_back({op_evict, slot, 0, 0});
        calls.push_back({scenario_.looks_once ? op_take_blindly : op_take, slot, 0, scenario_.max});
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
        if (call.kind == op_evict && outcome.verdict == 1) ++evictions_;
        if (call.kind != op_take && call.kind != op_take_blindly) return held_after_its_end(state);
        const auto hold = static_cast<shm::Hold>(outcome.verdict);
        if (hold == shm::Hold::corrupt) return "reported corruption that is none";
        if (hold == shm::Hold::taken) ++state.processes[p].own.held;
        if (held_by_all(state) > scenario_.max) return "more are held than the maximum";
        return held_after_its_end(state);
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
    std::size_t evictions() const { return evictions_; }

    std::string describe(const Call& call) const {
        static constexpr const char* kNames[] = {"take", "take", "drop", "clear", "evict"};
        return std::string(kNames[call.kind]) + "(slot " + std::to_string(call.slot) + ")";
    }

 private:
    /// Alone, clearing all shares and taking all slots takes no more accesses than this.
    static constexpr std::uint64_t kAloneMax = 200;

    /// As the product does it: Admitter::hold_one.
    static std::uint64_t take(const Call& call, std::uint64_t& retries) {
        if (memory_.life.load(std::memory_order_acquire) != live) return kEvicted;  // ORDER(model)
        const shm::Hold hold = Gauge::take(view(), call.slot, call.units, retries);
        // ORDER(model): the product's orders, where they mean something
        if (call.kind == op_take && memory_.life.load(std::memory_order_acquire) != live) {
            if (hold == shm::Hold::taken) Gauge::drop(view(), call.slot, retries);
            return kEvicted;
        }
        return static_cast<std::uint64_t>(hold);
    }

    /// As the product does it: DirectoryWriter::take with a GaugeKeeper.
    static bool evict() {
        if (memory_.life.load(std::memory_order_acquire) != live) return false;  // ORDER(model)
        memory_.life.store(checking, std::memory_order_release);                 // ORDER(model)
        const bool idle = Gauge::close(view());
        memory_.life.store(idle ? gone : live, std::memory_order_release);       // ORDER(model)
        return idle;
    }

    static const char* held_after_its_end(const State& state) {
        return state.words[kWords - 1] == gone && held_by_all(state) != 0
                   ? "a slot is held of a gauge that has been evicted"
                   : nullptr;
    }

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
    std::size_t evictions_ = 0;
};

}  // namespace weir::model
