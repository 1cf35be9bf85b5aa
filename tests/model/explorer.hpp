// Visits every state that a few processes can bring a few shared words into, one access at a time.
//
// A transition is one access of one process, or the start of its next operation together with that
// operation's first access. A process that is never chosen again is a dead one, so death at every
// step is among the paths; a subject may besides let a process die for all to see. Loads of words
// that the subject never writes are no transitions of their own: they commute with everything.
// States are told apart by 128 bits of hash.
//
// Only sequentially consistent interleavings: memory orders are argued at their lines, and checked
// by ThreadSanitizer (tests/threads).
//
// Thread safety: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/model/automaton.hpp"

namespace weir::model {

template <unsigned Words, unsigned Processes, class Own, class Ghost>
struct ModelState {
    static constexpr unsigned kProcesses = Processes;
    struct Process {
        std::uint32_t node;  // in the automaton; 0 is between two operations
        std::uint32_t operations_left;
        Own own;
    };
    std::array<std::uint64_t, Words> words;
    std::array<Process, Processes> processes;
    Ghost ghost;
};

/// A set of hashes, open addressing.
class HashSet {
 public:
    HashSet() : slots_(1u << 16, Hash128{0, 0}) {}

    /// False if it was there before.
    bool insert(Hash128 hash) {
        if (hash.low == 0) hash.low = 1;
        if ((count_ + 1) * 3 > slots_.size() * 2) grow();
        Hash128& slot = place(hash);
        if (slot.low != 0) return false;
        slot = hash;
        ++count_;
        return true;
    }
    bool contains(Hash128 hash) {
        if (hash.low == 0) hash.low = 1;
        return place(hash).low != 0;
    }
    std::size_t size() const noexcept { return count_; }

 private:
    Hash128& place(const Hash128& hash) {
        std::size_t at = hash.low & (slots_.size() - 1);
        while (slots_[at].low != 0 && slots_[at] != hash) at = (at + 1) & (slots_.size() - 1);
        return slots_[at];
    }
    void grow() {
        std::vector<Hash128> old(slots_.size() * 2, Hash128{0, 0});
        old.swap(slots_);
        for (const Hash128& hash : old) {
            if (hash.low != 0) place(hash) = hash;
        }
    }

    std::vector<Hash128> slots_;  // low 0 is free
    std::size_t count_ = 0;
};

struct Report {
    std::string problem;  // empty: every state is right
    std::string trace;    // how to get there
    std::size_t states = 0;
    std::size_t transitions = 0;
    std::size_t local_states = 0;
    std::size_t longest = 0;  // accesses that a process running alone has needed at most
};

/// Explores a Subject, which besides what Automaton asks for has
///   using State = ModelState<…>; State initial();
///   static constexpr bool kSymmetric;                 processes differ only in their `own`
///   void menu(const State&, unsigned p, std::vector<Call>&)   what an idle process may begin
///   void begin(State&, unsigned p, const Call&)       just before the first access
///   const char* finish(State&, unsigned p, const Call&, Outcome)   a problem or null
///   const char* check(const State&)   after every transition but mere reading; a problem or null
///   bool constant(unsigned word)                      nobody ever writes that word
///   bool plain(unsigned word)                         a planted fault: cas there is a plain store
///   bool can_die(const State&, unsigned p), void die(State&, unsigned p)
///   void observe(State&)   after every transition but mere reading; may note what it sees
///   std::string describe(const Call&)
template <class Subject>
class Explorer {
    using State = typename Subject::State;
    static_assert(std::has_unique_object_representations_v<State> && sizeof(State) % 8 == 0);

    /// A process that has not finished its operation after so many accesses alone never does.
    static constexpr std::size_t kAloneMax = 1000;

    struct Choice {
        enum Kind : std::uint8_t { step, begin, die };
        Kind kind;
        std::uint8_t process;
        Call call;
    };
    struct Frame {
        State state;
        std::vector<Choice> choices;
        std::size_t next;
    };

 public:
    /// A larger exploration than `states_max` is a failure: it would prove nothing.
    explicit Explorer(Subject& subject, std::size_t states_max = 100'000'000)
        : subject_(subject), states_max_(states_max) {}

    Report run() {
        const State initial = subject_.initial();
        seen(initial);
        push(initial);
        while (depth_ != 0 && report_.problem.empty()) {
            Frame& frame = path_[depth_ - 1];
            if (frame.next == frame.choices.size()) {
                --depth_;
                continue;
            }
            State state = frame.state;
            const Choice choice = frame.choices[frame.next++];
            ++report_.transitions;
            only_read_ = true;
            const char* problem = advance(state, choice);
            if (!only_read_) subject_.observe(state);
            if (problem == nullptr) {
                if (seen(state)) continue;
                if (!only_read_) problem = check(state);
            }
            if (problem != nullptr) {
                fail(problem);
            } else if (visited_.size() > states_max_) {
                fail("more states than this exploration is meant for");
            } else {
                push(state);
            }
        }
        report_.states = visited_.size();
        report_.local_states = automaton_.size();
        return report_;
    }

 private:
    void push(const State& state) {
        if (depth_ == path_.size()) path_.emplace_back();
        Frame& frame = path_[depth_++];
        frame.state = state;
        frame.choices.clear();
        frame.next = 0;
        for (unsigned p = 0; p < State::kProcesses; ++p) {
            const auto process = static_cast<std::uint8_t>(p);
            if (state.processes[p].node != 0) {
                frame.choices.push_back({Choice::step, process, {}});
            } else {
                menu_.clear();
                subject_.menu(state, p, menu_);
                for (const Call& call : menu_) {
                    frame.choices.push_back({Choice::begin, process, call});
                }
            }
            if (subject_.can_die(state, p)) frame.choices.push_back({Choice::die, process, {}});
        }
    }

    /// A step that only reads, in the middle of an operation, needs no check: the words are as they were,
    /// and its process has gone one step of the way that it was seen to finish alone.
    const char* check(const State& state) {
        if (const char* problem = subject_.check(state)) return problem;
        for (unsigned p = 0; p < State::kProcesses; ++p) {
            if (!finishes_alone(state, p)) return "alone, an operation does not finish";
        }
        return nullptr;
    }

    bool seen(const State& state) {
        State canonical = state;
        if constexpr (Subject::kSymmetric) {
            std::sort(canonical.processes.begin(), canonical.processes.end(),
                      [](const auto& a, const auto& b) { return std::memcmp(&a, &b, sizeof a) < 0; });
        }
        Hash128 hash;
        hash.add(&canonical, sizeof canonical);
        return !visited_.insert(hash);
    }

    const char* advance(State& state, const Choice& choice) {
        if (choice.kind == Choice::die) {
            state.processes[choice.process].node = 0;
            only_read_ = false;
            subject_.die(state, choice.process);
            return nullptr;
        }
        auto& process = state.processes[choice.process];
        if (choice.kind == Choice::begin) {
            --process.operations_left;
            only_read_ = false;
            subject_.begin(state, choice.process, choice.call);
            process.node = automaton_.root(choice.call);
        }
        for (bool accessed = false;;) {
            const auto& local = automaton_[process.node];
            if (local.pending.kind == Access::none) {
                const Call call = automaton_.call(process.node);
                const Outcome outcome = local.outcome;
                process.node = 0;
                only_read_ = false;
                return subject_.finish(state, choice.process, call, outcome);
            }
            const bool silent =
                local.pending.kind == Access::load && subject_.constant(local.pending.word);
            if (accessed && !silent) return nullptr;
            accessed = accessed || !silent;
            const std::uint64_t before = state.words[local.pending.word];
            const Answer answer = perform(state, local.pending);
            only_read_ = only_read_ && state.words[local.pending.word] == before;
            process.node = automaton_.child(process.node, answer);
        }
    }

    /// Whether process `p` ends its operation if all others have died. Each pair of words and local
    /// state is followed only once.
    bool finishes_alone(State state, unsigned p) {
        std::uint32_t& node = state.processes[p].node;
        std::size_t accesses = 0;
        for (walked_.clear(); node != 0 && automaton_[node].pending.kind != Access::none;) {
            Hash128 here;
            here.add(state.words.data(), sizeof state.words);
            here.add(node);
            if (finishing_.contains(here)) break;
            walked_.push_back(here);
            if (++accesses > kAloneMax) return false;
            node = automaton_.child(node, perform(state, automaton_[node].pending));
        }
        for (const Hash128& hash : walked_) finishing_.insert(hash);
        report_.longest = std::max(report_.longest, accesses);
        return true;
    }

    Answer perform(State& state, const Access& access) const {
        std::uint64_t& word = state.words[access.word];
        const std::uint64_t found = word;
        switch (access.kind) {
            case Access::load:
                return {found, 0};
            case Access::store:
                word = access.operand;
                return {};
            case Access::add:
                word += access.operand;
                return {found, 0};
            default:
                if (found != access.operand && !subject_.plain(access.word)) return {found, 0};
                word = access.desired;
                return {access.operand, 1};
        }
    }

    void fail(const char* problem) {
        report_.problem = problem;
        for (std::size_t i = 0; i < depth_; ++i) {
            const Frame& frame = path_[i];
            const Choice& choice = frame.choices[frame.next - 1];
            report_.trace += "p" + std::to_string(choice.process);
            Call call = choice.call;
            if (choice.kind == Choice::die) {
                report_.trace += " dies\n";
                continue;
            }
            std::uint32_t node = frame.state.processes[choice.process].node;
            if (choice.kind == Choice::begin) {
                report_.trace += " begins " + subject_.describe(call);
                node = automaton_.root(call);
            }
            const Access access = automaton_[node].pending;
            static constexpr const char* kNames[] = {"load", "store", "cas", "add", "none"};
            report_.trace += std::string(" ") + kNames[access.kind] + " word " +
                             std::to_string(access.word) + " (holds " +
                             std::to_string(frame.state.words[access.word]) + ")\n";
        }
    }

    Subject& subject_;
    std::size_t states_max_;
    Automaton<Subject> automaton_;
    HashSet visited_;
    HashSet finishing_;
    std::vector<Hash128> walked_;
    std::vector<Frame> path_;  // the first `depth_` of them; the rest is kept for its memory
    std::size_t depth_ = 0;
    bool only_read_ = false;  // the last transition neither wrote nor began or ended anything
    std::vector<Call> menu_;
    Report report_;
};

}  // namespace weir::model
