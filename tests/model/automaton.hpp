// Turns an operation over shared words into an automaton whose every step is one access.
//
// An operation is a deterministic function of the answers that its accesses get. Its next access is
// found by running it from the start with the answers so far, and leaving it at the first access
// that has none. That is done once for each local state and answer; after that a step is a look-up.
//
// Two lists of answers lead to the same local state if they leave the same bytes on the operation's
// stack, the registers that a call preserves among them: what is yet to come depends on nothing
// else. So what an operation has forgotten (a round that it lost) does not multiply the states.
// Bytes that are dead but differ only cost time.
//
// The code under test is the product's own template; only the word is another one (ModelWord).
// It must hold nothing that needs a destructor across an access, for it is left in the middle.
//
// Thread safety: none.
#pragma once

#include <ucontext.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir::model {

struct Access {
    enum Kind : std::uint8_t { load, store, cas, add, none };
    Kind kind = none;
    std::uint8_t word = 0;
    std::uint64_t operand = 0;   // value to store or add, or what a cas expects
    std::uint64_t desired = 0;   // what a cas would write
};

/// What an access found; for a cas also whether it wrote.
struct Answer {
    std::uint64_t value = 0;
    std::uint64_t done = 0;
    friend bool operator==(const Answer&, const Answer&) = default;
};

/// What an operation returned.
struct Outcome {
    std::uint64_t verdict = 0;
    std::uint64_t tick = 0;
};

struct Hash128 {
    std::uint64_t low = 0x9e37'79b9'7f4a'7c15;
    std::uint64_t high = 0xc2b2'ae3d'27d4'eb4f;

    void add(std::uint64_t word) noexcept {
        low = mix(low ^ word, 0xff51'afd7'ed55'8ccd);
        high = mix(high + word, 0xc4ce'b9fe'1a85'ec53);
    }
    void add(const void* data, std::size_t bytes) noexcept {
        const auto* at = static_cast<const unsigned char*>(data);
        for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, at + i, 8);
            add(word);
        }
    }
    friend bool operator==(const Hash128&, const Hash128&) = default;

 private:
    static constexpr std::uint64_t mix(std::uint64_t value, std::uint64_t odd) noexcept {
        value *= odd;
        value ^= value >> 32;
        value *= 0x9fb2'1c65'1e98'df25;
        return value ^ value >> 29;
    }
};

/// The run under way; null while ModelWords simply are what they hold.
struct Replay {
    static constexpr std::size_t kStackWords = 4096;

    const Answer* answers = nullptr;
    std::size_t count = 0;
    std::size_t next = 0;
    const void* base = nullptr;  // the first word
    Access pending;
    Hash128 local;  // of the stack at `pending`
    ucontext_t caller;
    ucontext_t operation;
    alignas(64) std::uint64_t stack[kStackWords];

    /// Wipes what calls that have returned left below, lest it shows through later frames.
    [[gnu::noinline, gnu::no_sanitize("address")]] void scrub() noexcept {
        auto* from = static_cast<volatile std::uint64_t*>(__builtin_frame_address(0)) - 8;
        for (volatile std::uint64_t* at = from - 64; at < from; ++at) *at = 0;
    }

    /// Hashes the stack from this function's frame up. A frame of its own, so that all of the
    /// callers' frames are in it.
    [[gnu::noinline, gnu::no_sanitize("address")]] void capture() noexcept {
        const auto* at = static_cast<const volatile std::uint64_t*>(__builtin_frame_address(0));
        local = Hash128{};
        local.add(static_cast<std::uint64_t>(stack + kStackWords - at));
        for (; at < stack + kStackWords; ++at) local.add(*at);
    }
};
inline Replay* replaying = nullptr;
inline std::uint64_t direct_accesses = 0;  // made while nothing is replayed

/// A word as window.hpp and in_flight.hpp use it.
class ModelWord {
 public:
    std::uint64_t load(std::memory_order) const noexcept {
        if (replaying != nullptr) return ask(Access::load, 0, 0).value;
        ++direct_accesses;
        return value_;
    }
    void store(std::uint64_t value, std::memory_order) noexcept {
        if (replaying != nullptr) {
            ask(Access::store, value, 0);
            return;
        }
        ++direct_accesses;
        value_ = value;
    }
    bool cas(std::uint64_t& expected, std::uint64_t desired, std::memory_order,
             std::memory_order) noexcept {
        if (replaying != nullptr) {
            const Answer answer = ask(Access::cas, expected, desired);
            expected = answer.value;
            return answer.done != 0;
        }
        ++direct_accesses;
        if (value_ == expected) {
            value_ = desired;
            return true;
        }
        expected = value_;
        return false;
    }

    std::uint64_t fetch_add(std::uint64_t amount, std::memory_order) noexcept {
        if (replaying != nullptr) return ask(Access::add, amount, 0).value;
        ++direct_accesses;
        return std::exchange(value_, value_ + amount);
    }

    std::uint64_t value_ = 0;

 private:
    [[gnu::noinline]] Answer ask(Access::Kind kind, std::uint64_t operand,
                                 std::uint64_t desired) const noexcept {
        Replay& replay = *replaying;
        if (replay.next < replay.count) {
            replay.scrub();
            return replay.answers[replay.next++];
        }
        const auto offset =
            reinterpret_cast<const char*>(this) - static_cast<const char*>(replay.base);
        replay.pending = {kind, static_cast<std::uint8_t>(offset / 8), operand, desired};
        __builtin_unwind_init();  // puts the registers of the callers on the stack
        replay.capture();
        ::setcontext(&replay.caller);
        __builtin_unreachable();
    }
};
static_assert(sizeof(ModelWord) == 8);

/// Which operation, with which arguments.
struct Call {
    std::uint8_t kind = 0;
    std::uint8_t slot = 0;
    std::uint64_t now = 0;
    std::uint64_t units = 0;
    friend auto operator<=>(const Call&, const Call&) = default;
};

/// All local states met so far of all operations of a Subject, which has
///   static const void* base();               the first of its ModelWords
///   static Outcome run(const Call&);         the operation, over those words
template <class Subject>
class Automaton {
 public:
    using Node = std::uint32_t;  // 0 is none

    struct State {
        Access pending;  // none: the operation has returned
        Outcome outcome;
        std::uint32_t call = 0;
        std::uint32_t depth = 0;  // accesses made so far, on the way by which it was first met
        Node parent = 0;          // on that way
        Answer answer;            // what led here from the parent
        std::uint32_t first_edge = 0;
    };

    Automaton() : states_(1), edges_(1) {}

    const State& operator[](Node node) const { return states_[node]; }
    const Call& call(Node node) const { return calls_[states_[node].call]; }
    std::size_t size() const { return states_.size() - 1; }

    Node root(const Call& call) {
        const auto [at, made] = roots_.try_emplace(call, 0);
        if (made) {
            calls_.push_back(call);
            State state;
            state.call = static_cast<std::uint32_t>(calls_.size() - 1);
            at->second = make(state);
        }
        return at->second;
    }

    Node child(Node node, const Answer& answer) {
        for (std::uint32_t e = states_[node].first_edge; e != 0; e = edges_[e].next) {
            if (edges_[e].answer == answer) return edges_[e].to;
        }
        State state;
        state.call = states_[node].call;
        state.depth = states_[node].depth + 1;
        state.parent = node;
        state.answer = answer;
        const Node to = make(state);
        edges_.push_back({answer, to, states_[node].first_edge});
        states_[node].first_edge = static_cast<std::uint32_t>(edges_.size() - 1);
        return to;
    }

 private:
    struct Edge {
        Answer answer;
        Node to = 0;
        std::uint32_t next = 0;
    };
    struct Low {
        std::size_t operator()(const Hash128& hash) const noexcept { return hash.low; }
    };

    Node make(State state) {
        answers_.assign(state.depth, Answer{});
        Answer own = state.answer;
        Node parent = state.parent;
        for (std::size_t i = state.depth; i-- > 0;) {
            answers_[i] = own;
            own = states_[parent].answer;
            parent = states_[parent].parent;
        }
        const Hash128 local = run(state);
        const auto [at, made] = known_.try_emplace(local, static_cast<Node>(states_.size()));
        if (made) states_.push_back(state);
        return at->second;
    }

    /// Runs the operation up to its next access, and says what its local state is.
    Hash128 run(State& state) {
        Replay& replay = replay_;
        replay.answers = answers_.data();
        replay.count = answers_.size();
        replay.next = 0;
        replay.base = Subject::base();
        replay.pending = Access{};
        // What an abandoned run has left there must not tell one run from another.
        for (std::uint64_t& word : replay.stack) word = 0;
        ::getcontext(&replay.operation);
        replay.operation.uc_stack.ss_sp = replay.stack;
        replay.operation.uc_stack.ss_size = sizeof replay.stack;
        replay.operation.uc_link = &replay.caller;
        current_ = calls_[state.call];
        ::makecontext(&replay.operation, &Automaton::enter, 0);
        replaying = &replay;
        ::swapcontext(&replay.caller, &replay.operation);
        replaying = nullptr;
        if (replay.next != replay.count) {
            throw std::logic_error("an operation is not deterministic");
        }
        state.pending = replay.pending;
        if (state.pending.kind == Access::none) {
            state.outcome = outcome_;
            replay.local = Hash128{};
            replay.local.add(outcome_.verdict);
            replay.local.add(outcome_.tick);
        }
        replay.local.add(state.call);
        return replay.local;
    }

    static void enter() { outcome_ = Subject::run(current_); }

    static inline Replay replay_{};
    static inline Call current_{};
    static inline Outcome outcome_{};

    std::vector<State> states_;
    std::vector<Edge> edges_;
    std::vector<Call> calls_;
    std::vector<Answer> answers_;
    std::map<Call, Node> roots_;
    std::unordered_map<Hash128, Node, Low> known_;
};

}  // namespace weir::model
