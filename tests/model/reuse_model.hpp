// A limiter's record that comes to serve another name, as the explorer sees it: one process evicts, some come
// with handles of the old life, others with handles of the new one.
//
// What is explored is the product's own: end_life, begin_life and repair_life (shm/life.hpp) around
// GuardedWindow's retire and renew, against its admit, charge, give_back and set_limit. The two lives have
// ticks of different lengths and different limits, so parameters of the one used in the other show.
//
// The oracle is `net`: what was charged in each tick of each life less what was given back. An honest machine
// has one clock, so nobody who came before the eviction has a later time than it.
//
// Checked
//   at each admission     no window of its life holds more than that life's limit; it counts at its caller's
//                         time or later, and at no time that no clock has shown
//   at each refusal in the new life    at some moment since it was asked for, there was no room
//   at each `evicted`     an eviction had begun
//   once evicted          nothing that was charged in the old life still counts: it would be lost. But what
//                         is charged without asking during an eviction may count as too late for it
//   in every state        were all processes dead now, one more would tidy up, finish, meet no corruption,
//                         and get the whole limit once the window has passed
//   in every state of the new life    its limit is its own
//   between operations    with nobody under way, usage is exact
//
// Thread safety: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "shm/guarded_window.hpp"
#include "tests/model/explorer.hpp"

namespace weir::model {

/// What of a WindowRecord takes part.
struct ReusedRecord {
    ModelWord life;
    ModelWord reciprocal;
    ModelWord base;
    shm::WindowState<ModelWord, shm::WindowGeometry<1, 3, 5>> state;
};

struct ReuseScenario {
    std::uint64_t old_tick_ns = 4;
    std::uint64_t new_tick_ns = 2;
    std::uint64_t old_limit = 1;
    std::uint64_t new_limit = 2;
    unsigned evictions = 1;  // how often it is tried
    unsigned old_operations = 1;
    unsigned new_operations = 1;
    std::vector<std::uint64_t> old_times;    // at which old handles come
    std::vector<std::uint64_t> evict_times;  // none before any of the old ones
    std::vector<std::uint64_t> new_times;    // none before the eviction
    bool charges = false;                    // old handles charge without asking, too
    std::uint64_t old_set = 0;  // old handles may set the limit to this; 0: they do not
    bool ticket = false;  // one of the old ones begins with a ticket of time 0, and may give it back
};

/// `Guard` is GuardedWindow<ReusedRecord> or something with the same static functions.
template <class Guard, unsigned OldOnes, unsigned NewOnes>
class ReuseModel {
    using Geometry = shm::WindowGeometry<1, 3, 5>;
    using W = shm::Window<decltype(ReusedRecord::state)>;
    using Verdict = shm::Verdict;
    using Nanos = shm::Nanos;
    static constexpr unsigned kProcesses = 1 + OldOnes + NewOnes;
    static constexpr unsigned kWords = sizeof(ReusedRecord) / 8;
    static constexpr unsigned kSpan = 32;
    using Net = std::array<std::uint8_t, kSpan>;

    enum Operation : std::uint8_t { op_evict, op_admit, op_charge, op_give_back, op_set_limit };
    enum Role : std::uint8_t { evictor, old_one, new_one };

    struct Own {
        std::uint8_t role;
        std::uint8_t units;     // of its ticket; 0 is no ticket
        std::uint8_t asked;     // units of the admission under way, in the new life
        std::uint8_t asked_at;  // its time
        std::uint8_t blocked;   // 1 once there was no room for it
        std::uint8_t unused[3];
    };
    struct Ghost {
        std::array<Net, 2> net;  // by life and tick
        Net late;                // of the old life's, what was charged without asking during the eviction
        std::uint64_t clock_max;
        std::uint64_t begun;       // 1 once an eviction was begun
        std::uint64_t life;        // the new one; 0 before
        std::uint64_t evicted_at;  // the time of the eviction
    };

 public:
    using State = ModelState<kWords, kProcesses, Own, Ghost>;
    static constexpr bool kSymmetric = true;

    explicit ReuseModel(ReuseScenario scenario) : scenario_(std::move(scenario)) { current_ = scenario_; }

    static const void* base() { return &memory_; }

    static Outcome run(const Call& call) {
        static shm::Contention contention;  // not on the stack: no part of the local state
        const Nanos now(static_cast<std::int64_t>(call.now));
        const std::uint64_t life = call.slot == 0 ? kOldLife : kNewLife;
        switch (call.kind) {
            case op_evict:
                if (!shm::end_life(
                        memory_.life, [&] { return Guard::idle(memory_, now); },
                        [&] { return Guard::retire(memory_, now); })) {
                    return {};
                }
                Guard::renew(memory_, scale(1), current_.new_limit, now);
                return {shm::begin_life(memory_.life), 0};
            case op_admit:
                return outcome(Guard::admit(memory_, life, now, call.units, contention));
            case op_charge:
                return outcome(Guard::charge(memory_, life, now, call.units, contention));
            case op_set_limit:
                return {Guard::set_limit(memory_, life, call.units).has_value(), 0};
            default:
                Guard::give_back(memory_, life, scale(0).tick_at(now), call.units);
                return {};
        }
    }

    State initial() {
        State state{};
        memory_.life.value_ = kOldLife;
        memory_.reciprocal.value_ = scale(0).reciprocal();
        memory_.base.value_ = 0;
        W::reset(memory_.state, scale(0).tick_at(Nanos(0)),
                 Guard::Limit::pack(kOldLife, scenario_.old_limit));
        for (unsigned p = 0; p < kProcesses; ++p) {
            const Role role = p == 0 ? evictor : p <= OldOnes ? old_one : new_one;
            state.processes[p].own.role = role;
            state.processes[p].operations_left = role == evictor   ? scenario_.evictions
                                                 : role == old_one ? scenario_.old_operations
                                                                   : scenario_.new_operations;
        }
        if (scenario_.ticket) {
            run({op_admit, 0, 0, scenario_.old_limit});
            state.processes[1].own.units = static_cast<std::uint8_t>(scenario_.old_limit);
            state.ghost.net[0][0] = state.processes[1].own.units;
        }
        std::memcpy(state.words.data(), &memory_, sizeof memory_);
        return state;
    }

    void menu(const State& state, unsigned p, std::vector<Call>& calls) const {
        const auto& process = state.processes[p];
        if (process.operations_left == 0) return;
        const auto offer = [&](Operation kind, std::uint8_t life, const std::vector<std::uint64_t>& times) {
            for (const std::uint64_t time : times) calls.push_back({kind, life, time, 1});
        };
        if (process.own.role == evictor && state.ghost.life == 0) offer(op_evict, 0, scenario_.evict_times);
        if (process.own.role == new_one && state.ghost.life != 0) offer(op_admit, 1, scenario_.new_times);
        if (process.own.role != old_one) return;
        offer(op_admit, 0, scenario_.old_times);
        if (scenario_.charges) offer(op_charge, 0, scenario_.old_times);
        if (process.own.units != 0) calls.push_back({op_give_back, 0, 0, process.own.units});
        if (scenario_.old_set != 0) calls.push_back({op_set_limit, 0, 0, scenario_.old_set});
    }

    void begin(State& state, unsigned p, const Call& call) const {
        Own& own = state.processes[p].own;
        state.ghost.clock_max = std::max(state.ghost.clock_max, call.now);
        if (call.kind == op_evict) {
            state.ghost.begun = 1;
            state.ghost.late = {};
        }
        if (call.kind == op_give_back) {
            state.ghost.net[0][0] = static_cast<std::uint8_t>(state.ghost.net[0][0] - own.units);
            own.units = 0;
        }
        if (call.kind != op_admit || call.slot == 0) return;
        own.asked = static_cast<std::uint8_t>(call.units);
        own.asked_at = static_cast<std::uint8_t>(call.now);
    }

    /// Notes who is asking while there is no room.
    void observe(State& state) const {
        for (auto& process : state.processes) {
            Own& own = process.own;
            if (own.asked == 0) continue;
            const std::uint64_t last = tick(1, state.ghost.clock_max);
            for (std::uint64_t e = tick(1, own.asked_at); e <= last; ++e) {
                if (used(state.ghost.net[1], e) + own.asked > scenario_.new_limit) own.blocked = 1;
            }
        }
    }

    const char* finish(State& state, unsigned p, const Call& call, const Outcome& outcome) const {
        Own& own = state.processes[p].own;
        const bool blocked = own.blocked != 0;
        own.asked = own.asked_at = own.blocked = 0;
        if (call.kind == op_evict && outcome.verdict != 0) {
            state.ghost.life = outcome.verdict;
            state.ghost.evicted_at = call.now;
            return nothing_lost(state);
        }
        if (call.kind == op_evict || call.kind == op_give_back) return nullptr;
        if (call.kind == op_set_limit) {
            const bool refused = outcome.verdict == 0;
            return refused && state.ghost.begun == 0 ? "refused to set the limit of a living one" : nullptr;
        }
        const auto verdict = static_cast<Verdict>(outcome.verdict);
        if (verdict == Verdict::corrupt) return "reported corruption that is none";
        if (verdict == Verdict::evicted && (state.ghost.begun == 0 || call.slot == 1)) {
            return "reported an eviction that is none";
        }
        if (verdict == Verdict::over_limit && call.slot == 1 && !blocked) {
            return "the new limiter has refused although there was room all the time";
        }
        if (verdict != Verdict::admitted) return nullptr;
        if (outcome.tick < call.now) return "charged before the caller's time";
        if (outcome.tick > state.ghost.clock_max) return "charged after every clock";
        const std::uint64_t k = tick(call.slot, outcome.tick);
        Net& net = state.ghost.net[call.slot];
        net[k] = static_cast<std::uint8_t>(net[k] + call.units);
        if (call.kind == op_charge) {
            state.ghost.late[k] = static_cast<std::uint8_t>(state.ghost.late[k] + call.units);
            return nullptr;
        }
        const std::uint64_t limit =
            call.slot == 0 ? std::max(scenario_.old_limit, scenario_.old_set) : scenario_.new_limit;
        for (std::uint64_t e = k; e <= k + Geometry::kTicks; ++e) {
            if (used(net, e) > limit) return "over the limit in a window";
        }
        return nothing_lost(state);
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
        ++at_rest_;
        restore(state);
        const std::size_t life = state.ghost.life == 0 ? 0 : 1;
        const std::uint64_t last = state.ghost.clock_max + 2 * scenario_.old_tick_ns;
        for (std::uint64_t now = state.ghost.clock_max; now <= last; ++now) {
            const Nanos time(static_cast<std::int64_t>(now));
            const auto usage = W::look(memory_.state, shm::RecordTicks(memory_).at(time));
            if (usage.used != used(state.ghost.net[life], tick(life, now))) return "look is not exact";
        }
        return nullptr;
    }

    bool constant(unsigned) const { return false; }
    bool plain(unsigned) const { return false; }
    bool can_die(const State&, unsigned) const { return false; }
    void die(State&, unsigned) const {}
    std::size_t states_at_rest() const { return at_rest_; }

    std::string describe(const Call& call) const {
        static constexpr const char* kNames[] = {"evict", "admit", "charge", "give_back",
                                                  "set_limit"};
        return std::string(call.slot == 0 ? "old " : "new ") + kNames[call.kind] + " at " +
               std::to_string(call.now);
    }

 private:
    static constexpr std::uint64_t kOldLife = shm::Life::pack(1, shm::Life::live);
    static constexpr std::uint64_t kNewLife = shm::Life::pack(2, shm::Life::live);

    static shm::TickScale scale(std::size_t life) {
        const std::uint64_t ns = life == 0 ? current_.old_tick_ns : current_.new_tick_ns;
        return {Nanos(static_cast<std::int64_t>(ns)), Geometry::kTicks};
    }
    static Outcome outcome(const typename shm::GuardedWindow<ReusedRecord>::Done& done) {
        return {static_cast<std::uint64_t>(done.verdict),
                static_cast<std::uint64_t>(done.counts_at.count())};
    }
    static std::uint64_t tick(std::size_t life, std::uint64_t time) {
        return scale(life).tick_at(Nanos(static_cast<std::int64_t>(time))) - shm::TickScale::kFirstTick;
    }
    static void restore(const State& state) {
        auto* to = reinterpret_cast<ModelWord*>(&memory_);
        for (unsigned i = 0; i < kWords; ++i) to[i].value_ = state.words[i];
    }

    /// Net units in the window that ends with tick `e`.
    static std::uint64_t used(const Net& net, std::uint64_t e) {
        std::uint64_t sum = 0;
        for (std::uint64_t k = e > Geometry::kTicks ? e - Geometry::kTicks : 0; k <= e && k < kSpan; ++k) {
            sum += net[k];
        }
        return sum;
    }

    const char* nothing_lost(const State& state) const {
        if (state.ghost.life == 0) return nullptr;
        const std::uint64_t e = tick(0, state.ghost.evicted_at);
        std::uint64_t counts = 0;
        for (std::uint64_t k = e > Geometry::kTicks ? e - Geometry::kTicks : 0; k < kSpan; ++k) {
            counts += state.ghost.net[0][k];
            counts -= state.ghost.late[k];
        }
        return counts == 0 ? nullptr : "evicted with units that still count";
    }

    /// Somebody new comes when all others have died where they stand.
    const char* survivor_right(const State& state) {
        restore(state);
        const Nanos now(static_cast<std::int64_t>(state.ghost.clock_max));
        shm::repair_life(memory_.life, [] {});
        const bool unfinished = shm::Life::state_of(memory_.life.value_) == shm::Life::free;
        if (unfinished) {
            shm::end_life(memory_.life, [] { return true; }, [] { return true; });
            Guard::renew(memory_, scale(1), scenario_.new_limit, now);
            shm::begin_life(memory_.life);
        }
        const std::uint64_t limit = shm::limit_of(memory_.state);
        const std::uint64_t life = memory_.life.value_;
        if (life == kNewLife && limit != scenario_.new_limit) return "the new life has another's limit";
        shm::Contention contention;
        const auto first = Guard::admit(memory_, life, now, unfinished ? limit : 1, contention);
        if (first.verdict == Verdict::corrupt || first.verdict == Verdict::evicted) {
            return "a survivor meets corruption";
        }
        if (first.verdict == Verdict::admitted && first.counts_at > now) {
            return "a limiter is ahead of every clock";
        }
        if (unfinished && first.verdict != Verdict::admitted) {
            return "a limiter begins with units in its window";
        }
        const Nanos later = now + 2 * Nanos(static_cast<std::int64_t>(
                                      std::max(scenario_.old_tick_ns, scenario_.new_tick_ns)));
        const Verdict whole = Guard::admit(memory_, life, later, limit, contention).verdict;
        return whole == Verdict::admitted ? nullptr : "capacity does not come back after a death";
    }

    static inline ReusedRecord memory_{};
    static inline ReuseScenario current_{};  // for run(), which the automaton calls without an object
    ReuseScenario scenario_;
    HashSet probed_;
    std::size_t at_rest_ = 0;
};

}  // namespace weir::model
