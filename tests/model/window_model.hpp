// The window limiter as the explorer sees it: its words, what processes may do, and what must hold.
//
// The oracle is plain: `net` holds what was admitted or charged in each tick less what was given
// back. Clocks are arbitrary: every operation may begin at any of a scenario's ticks, whatever other
// processes have seen before, so lagging clocks and idle gaps are among the paths.
//
// Checked
//   at each admission    no window that it falls into holds more than the limit; its tick is not
//                        before the caller's clock, nor after every clock
//   at each refusal      at some moment since it was asked for, there was no room
//   at each charge down to what is left    it leaves no less; and just that where nothing is given back
//   when a part was set  no admission that ends later goes by a limit before it
//   in every state       were all processes dead now, one more would finish, meet no corruption, and
//                        get the whole limit once the window has passed
//   between operations   with nobody under way, usage, `earliest`, admission and refusal are exact
//
// Thread safety: none.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shm/parameter.hpp"
#include "shm/window.hpp"
#include "tests/model/explorer.hpp"

namespace weir::model {

enum Operation : std::uint8_t {
    op_admit,
    op_charge,
    op_give_back,
    op_look,
    op_earliest,
    op_limit,
    op_part,   // a limit is set for good, as a host's part is (shm/lease.hpp)
    op_leave,  // all but some units are charged
};

/// What is explored.
struct Scenario {
    std::uint64_t limit = 1;
    unsigned operations = 2;     // of each process
    std::vector<Call> menu;      // what a process may begin, give_back apart
    bool refunds = false;        // a process may give its last admission back, whole or one unit
    bool readers = false;        // look and earliest are in the menu: nothing is ever given back
    std::vector<Call> prefix;    // done before, by one process
    std::uint64_t origin = 1024;  // the tick at which the limiter was made
    std::uint64_t base = 1024;   // the first tick that the oracle keeps; earlier ones have expired
    std::uint64_t plain_words = 0;  // bit mask: planted fault, see Explorer

    /// Adds every combination to the menu; ticks are relative to `base`.
    Scenario& offer(Operation kind, std::vector<std::uint64_t> ticks,
                    std::vector<std::uint64_t> units) {
        for (const std::uint64_t tick : ticks) {
            for (const std::uint64_t unit : units) menu.push_back({kind, 0, base + tick, unit});
        }
        return *this;
    }
};

/// `Algorithm` is Window<State> or something with the same static functions.
template <class Algorithm, class Words, unsigned Processes>
class WindowModel {
    using G = typename Words::Geometry;
    using Verdict = shm::Verdict;
    static constexpr unsigned kSpan = 16;
    static constexpr unsigned kWords = sizeof(Words) / 8;
    using Net = std::array<std::uint8_t, kSpan>;

    static constexpr std::uint8_t kBlocked = 1;
    static constexpr std::uint8_t kChanging = 2;

    struct Own {
        std::uint8_t tick;       // of the ticket, relative to base
        std::uint8_t units;      // of the ticket; 0 is no ticket
        std::uint8_t limit_max;  // the highest limit in force since the operation began
        std::uint8_t asked;      // units of the admission under way
        std::uint8_t asked_at;   // its clock, relative to base
        std::uint8_t state;      // kBlocked once there was no room for it; kChanging while it sets the limit
        std::uint8_t returned;   // units of the give_back under way
        std::uint8_t returned_to;
        Net at_begin;  // readers only: net when the operation began
    };
    struct Ghost {
        Net net;
        std::uint64_t clock_max;  // the latest clock that anybody has read
    };

 public:
    using State = ModelState<kWords, Processes, Own, Ghost>;
    static constexpr bool kSymmetric = true;

    explicit WindowModel(Scenario scenario) : scenario_(std::move(scenario)) {
        for (const Call& call : scenario_.menu) limit_changes_ |= changes_limit(call);
    }

    static const void* base() { return &memory_; }

    static Outcome run(const Call& call) {
        static shm::Contention contention;  // not on the stack: no part of the local state
        switch (call.kind) {
            case op_admit: {
                const auto decision = Algorithm::admit(memory_, call.now, call.units, contention);
                return {static_cast<std::uint64_t>(decision.verdict), decision.tick};
            }
            case op_give_back:
                Algorithm::give_back(memory_, call.now, call.units);
                return {};
            case op_limit:
                memory_.limit.store(call.units, std::memory_order_relaxed);  // ORDER(limit)
                return {};
            default:
                break;
        }
        if constexpr (kWhole) {
            if (call.kind == op_charge) {
                const auto decision = Algorithm::charge(memory_, call.now, call.units, contention);
                return {static_cast<std::uint64_t>(decision.verdict), decision.tick};
            }
            if (call.kind == op_part) {
                const auto before = shm::Parameter<G::kUnitBits>::change(memory_.limit, 0, call.units);
                if (call.units < *before) Algorithm::supersede(memory_, call.now, contention);
                return {};
            }
            if (call.kind == op_leave) {
                const auto charged = Algorithm::leave_only(memory_, call.now, call.units, contention);
                if (charged.verdict == Verdict::corrupt) return {kCorrupt, charged.tick};
                return {charged.units, charged.tick};
            }
            if (call.kind == op_look) {
                const auto usage = Algorithm::look(memory_, call.now);
                return {usage.used, usage.tick};
            }
            return {0, Algorithm::earliest(memory_, call.now, call.units)};
        }
        return {};
    }

    State initial() {
        State state{};
        Algorithm::reset(memory_, scenario_.origin, scenario_.limit);
        for (const Call& call : scenario_.prefix) {
            const Outcome outcome = run(call);
            if (call.now >= scenario_.base) {
                state.ghost.net[outcome.tick - scenario_.base] =
                    static_cast<std::uint8_t>(state.ghost.net[outcome.tick - scenario_.base] +
                                              call.units);
            }
            state.ghost.clock_max = std::max(state.ghost.clock_max, call.now);
        }
        state.ghost.clock_max = std::max(state.ghost.clock_max, scenario_.base);
        for (auto& process : state.processes) process.operations_left = scenario_.operations;
        save(state);
        return state;
    }

    void menu(const State& state, unsigned p, std::vector<Call>& calls) const {
        const auto& process = state.processes[p];
        if (process.operations_left == 0) return;
        calls = scenario_.menu;
        const Own& own = process.own;
        if (!scenario_.refunds || own.units == 0) return;
        calls.push_back({op_give_back, 0, scenario_.base + own.tick, own.units});
        if (own.units > 1) calls.push_back({op_give_back, 0, scenario_.base + own.tick, 1});
    }

    void begin(State& state, unsigned p, const Call& call) {
        Own& own = state.processes[p].own;
        const auto limit = static_cast<std::uint8_t>(limit_of(state));
        own.limit_max = limit_changes_ ? limit : 0;
        if (call.kind == op_look || call.kind == op_earliest) own.at_begin = state.ghost.net;
        if (call.kind == op_give_back) {
            auto& net = state.ghost.net[own.tick];
            net = static_cast<std::uint8_t>(net - call.units);
            own.units = static_cast<std::uint8_t>(own.units - call.units);
            own.returned = static_cast<std::uint8_t>(call.units);
            own.returned_to = own.tick;
            if (own.units == 0) own.tick = 0;
        } else if (changes_limit(call)) {
            for (auto& process : state.processes) {
                process.own.limit_max =
                    std::max(process.own.limit_max, static_cast<std::uint8_t>(call.units));
            }
        }
        if (call.kind != op_give_back && call.kind != op_limit) {
            state.ghost.clock_max = std::max(state.ghost.clock_max, call.now);
        }
        own.state = changes_limit(call) ? kChanging : 0;
        if (call.kind == op_admit) {
            own.asked = static_cast<std::uint8_t>(call.units);
            own.asked_at = static_cast<std::uint8_t>(call.now - scenario_.base);
        }
    }

    /// Notes who is asking while there is no room. A give_back under way may not have happened yet.
    void observe(State& state) const {
        Net most = state.ghost.net;
        for (const auto& process : state.processes) {
            auto& units = most[process.own.returned_to];
            units = static_cast<std::uint8_t>(units + process.own.returned);
        }
        for (auto& process : state.processes) {
            Own& own = process.own;
            if (own.asked == 0) continue;
            for (std::uint64_t e = own.asked_at; scenario_.base + e <= state.ghost.clock_max; ++e) {
                if (used(most, e) + own.asked > scenario_.limit) own.state = kBlocked;
            }
        }
    }

    const char* finish(State& state, unsigned p, const Call& call, const Outcome& outcome) {
        Own& own = state.processes[p].own;
        const std::uint64_t limit = limit_changes_ ? own.limit_max : scenario_.limit;
        own.limit_max = 0;
        const bool blocked = own.state == kBlocked;
        own.asked = own.asked_at = own.state = own.returned = own.returned_to = 0;
        if (call.kind == op_part) return set_for_good(state, p);
        if (call.kind == op_leave) return left_right(state, call, outcome, limit);
        if (call.kind == op_look || call.kind == op_earliest) {
            const Net before = own.at_begin;
            own.at_begin = Net{};
            return read_right(state, call, outcome, before);
        }
        if (call.kind != op_admit && call.kind != op_charge) return nullptr;
        const auto verdict = static_cast<Verdict>(outcome.verdict);
        if (verdict == Verdict::corrupt) return "reported corruption that is none";
        if (verdict == Verdict::over_limit && !limit_changes_ && !blocked) {
            return "refused although there was room all the time";
        }
        if (verdict != Verdict::admitted) return nullptr;
        if (outcome.tick < call.now) return "charged before the caller's clock";
        if (outcome.tick > state.ghost.clock_max) return "charged after every clock";
        const auto tick = static_cast<std::uint8_t>(outcome.tick - scenario_.base);
        if (tick >= kSpan) return "the scenario leaves the oracle's span";
        auto& net = state.ghost.net[tick];
        net = static_cast<std::uint8_t>(net + call.units);
        if (call.kind == op_charge) return nullptr;
        own.tick = scenario_.refunds ? tick : 0;
        own.units = scenario_.refunds ? static_cast<std::uint8_t>(call.units) : 0;
        for (std::uint64_t e = tick; e <= tick + G::kTicks; ++e) {
            if (used(state.ghost.net, e) > limit) return "over the limit in a window";
        }
        return nullptr;
    }

    const char* check(const State& state) {
        Hash128 words;
        words.add(state.words.data(), sizeof state.words);
        words.add(&state.ghost.clock_max, 8);
        if (probed_.insert(words)) {
            if (const char* problem = survivor_right(state)) return problem;
        }
        for (const auto& process : state.processes) {
            if (process.node != 0) return nullptr;
        }
        words.add(&state.ghost.net, sizeof state.ghost.net);
        if constexpr (kWhole) {
            if (quiet_.insert(words)) return exact(state);
        }
        return nullptr;
    }

    bool constant(unsigned word) const {
        return !limit_changes_ && &reinterpret_cast<const ModelWord*>(&memory_)[word] == &memory_.limit;
    }
    bool plain(unsigned word) const { return (scenario_.plain_words >> word & 1) != 0; }
    bool can_die(const State&, unsigned) const { return false; }
    void die(State&, unsigned) {}
    std::size_t quiet_states() const { return quiet_.size(); }

    std::string describe(const Call& call) const {
        static constexpr const char* kNames[] = {"admit",    "charge", "give_back", "look",
                                                 "earliest", "limit",  "part",      "leave"};
        return std::string(kNames[call.kind]) + "(units " + std::to_string(call.units) + ", tick +" +
               std::to_string(call.now - scenario_.base) + ")";
    }

 private:
    /// Planted variants have no look, earliest and charge.
    static constexpr bool kWhole =
        requires(Words& words) { Algorithm::earliest(words, std::uint64_t{}, std::uint64_t{}); };
    static constexpr std::uint64_t kCorrupt = ~std::uint64_t{0};

    static constexpr bool changes_limit(const Call& call) {
        return call.kind == op_limit || call.kind == op_part;
    }

    /// Unless the limit is being changed again, whatever is under way goes by the one that is in force.
    const char* set_for_good(State& state, unsigned setter) const {
        for (const auto& process : state.processes) {
            if (process.own.state == kChanging) return nullptr;
        }
        for (unsigned p = 0; p < Processes; ++p) {
            auto& process = state.processes[p];
            if (p == setter || process.node == 0) continue;
            process.own.limit_max = static_cast<std::uint8_t>(limit_of(state));
        }
        return nullptr;
    }

    const char* left_right(State& state, const Call& call, const Outcome& outcome,
                           std::uint64_t limit) const {
        if (outcome.verdict == kCorrupt) return "reported corruption that is none";
        if (outcome.verdict == 0) return nullptr;
        if (outcome.tick < call.now) return "charged before the caller's clock";
        if (outcome.tick > state.ghost.clock_max) return "charged after every clock";
        const std::uint64_t tick = outcome.tick - scenario_.base;
        state.ghost.net[tick] = static_cast<std::uint8_t>(state.ghost.net[tick] + outcome.verdict);
        const std::uint64_t after = used(state.ghost.net, tick) + call.units;
        if (after > limit) return "left less than was said";
        if (after < limit && !scenario_.refunds) return "left more than was said";
        return nullptr;
    }

    /// Alone, an operation takes no more accesses than filling the ring thrice and summing it.
    static constexpr std::uint64_t kAloneMax = 60 + 20 * G::kRing;

    static void save(State& state) { std::memcpy(state.words.data(), &memory_, sizeof memory_); }
    static void restore(const State& state) {
        auto* to = reinterpret_cast<ModelWord*>(&memory_);
        for (unsigned i = 0; i < kWords; ++i) to[i].value_ = state.words[i];
    }
    std::uint64_t limit_of(const State& state) const {
        const auto* first = reinterpret_cast<const ModelWord*>(&memory_);
        return state.words[static_cast<std::size_t>(&memory_.limit - first)];
    }

    /// Net units in the window that ends with tick `e`, relative to base.
    static std::uint64_t used(const Net& net, std::uint64_t e) {
        std::uint64_t sum = 0;
        for (std::uint64_t k = e > G::kTicks ? e - G::kTicks : 0; k <= e && k < kSpan; ++k) {
            sum += net[k];
        }
        return sum;
    }

    static std::uint64_t first_fit(const Net& net, std::uint64_t e, std::uint64_t units,
                                   std::uint64_t limit) {
        while (used(net, e) + units > limit) ++e;
        return e;
    }

    /// Somebody new comes when all others have died where they stand.
    const char* survivor_right(const State& state) {
        const std::uint64_t limit = limit_of(state);
        shm::Contention contention;
        for (const std::uint64_t later : {std::uint64_t{0}, std::uint64_t{G::kTicks + 1}}) {
            restore(state);
            direct_accesses = 0;
            const auto decision = Algorithm::admit(memory_, state.ghost.clock_max + later,
                                                   later == 0 ? 1 : limit, contention);
            if (direct_accesses > kAloneMax) return "a survivor takes too many steps";
            if (decision.verdict == Verdict::corrupt) return "a survivor meets corruption";
            if (later != 0 && decision.verdict != Verdict::admitted) {
                return "capacity does not come back after a death";
            }
        }
        return nullptr;
    }

    /// Nobody is under way: everything can be told exactly.
    const char* exact(const State& state) {
        const std::uint64_t limit = limit_of(state);
        const std::uint64_t last = state.ghost.clock_max - scenario_.base + G::kTicks + 1;
        for (std::uint64_t now = 0; now <= last; ++now) {
            restore(state);
            const auto usage = Algorithm::look(memory_, scenario_.base + now);
            if (usage.tick < scenario_.base + now) return "look answers for the past";
            const std::uint64_t today = usage.tick - scenario_.base;
            if (scenario_.base + today > state.ghost.clock_max && today != now) {
                return "look answers for a tick after every clock";
            }
            const std::uint64_t net = used(state.ghost.net, today);
            if (usage.used != net) return "look is not exact";
            const std::uint64_t empty = first_fit(state.ghost.net, today, limit, limit);
            if (Algorithm::empty_at(memory_, scenario_.base + now) != scenario_.base + empty) {
                return "empty_at is not exact";
            }
            for (std::uint64_t units = 1; units <= limit; ++units) {
                const std::uint64_t fits = first_fit(state.ghost.net, today, units, limit);
                if (Algorithm::earliest(memory_, scenario_.base + now, units) !=
                    scenario_.base + fits) {
                    return "earliest is not exact";
                }
                shm::Contention contention;
                const auto decision =
                    Algorithm::admit(memory_, scenario_.base + now, units, contention);
                if ((decision.verdict == Verdict::admitted) != (fits == today)) {
                    return fits == today ? "refused although it fits" : "admitted although it does not";
                }
                restore(state);
            }
        }
        return nullptr;
    }

    /// What a reader saw lies between what there was when it began, and what there is now with all
    /// that is under way. Nothing is given back in such a scenario, so usage only grows.
    const char* read_right(const State& state, const Call& call, const Outcome& outcome,
                           const Net& before) const {
        Net most = state.ghost.net;
        for (auto& units : most) {
            for (const auto& process : state.processes) {
                // Any tick may be the one that an operation under way charges.
                if (process.node != 0) units = static_cast<std::uint8_t>(units + units_most());
            }
        }
        const std::uint64_t tick = outcome.tick - scenario_.base;
        const std::uint64_t now = call.now - scenario_.base;
        if (call.kind == op_look) {
            if (tick < now || outcome.tick > state.ghost.clock_max) return "look names a wrong tick";
            if (outcome.verdict < used(before, tick)) return "look misses units";
            if (outcome.verdict > used(most, tick)) return "look invents units";
            return nullptr;
        }
        if (tick < first_fit(before, now, call.units, scenario_.limit)) return "earliest is too early";
        if (busy(state)) return nullptr;  // how much may come in between is not known
        const std::uint64_t latest = state.ghost.clock_max - scenario_.base;
        if (tick > first_fit(most, std::max(now, latest), call.units, scenario_.limit)) {
            return "earliest is too late";
        }
        return nullptr;
    }

    static bool busy(const State& state) {
        return std::any_of(state.processes.begin(), state.processes.end(),
                           [](const auto& process) { return process.node != 0; });
    }
    std::uint64_t units_most() const {
        std::uint64_t most = 0;
        for (const Call& call : scenario_.menu) {
            if (call.kind == op_admit) most = std::max(most, call.units);
        }
        return most;
    }

    static inline Words memory_{};
    Scenario scenario_;
    bool limit_changes_ = false;
    HashSet probed_;
    HashSet quiet_;
};

}  // namespace weir::model
