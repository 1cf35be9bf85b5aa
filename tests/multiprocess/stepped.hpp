// A child that is executed one instruction at a time under ptrace, or up to any instruction that it is
// known to come by, and killed wherever it stands.
#pragma once

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>

#include "crew.hpp"
#include "shm/word.hpp"

namespace weir::shm::test {

/// Whether this process may trace its children; some containers forbid it.
inline bool may_trace() {
    Child probe([] {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 1;
        ::raise(SIGSTOP);
        return 0;
    });
    int status = 0;
    if (::waitpid(probe.pid(), &status, WUNTRACED) != probe.pid() || !WIFSTOPPED(status)) {
        probe.forget();
        return false;
    }
    const bool stepped = ::ptrace(PTRACE_SINGLESTEP, probe.pid(), nullptr, nullptr) == 0 &&
                         ::waitpid(probe.pid(), &status, 0) == probe.pid() && WIFSTOPPED(status);
    return stepped;
}

/// Called by the child when it is ready to be stepped.
inline void stop_for_tracer() {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(97);
    ::raise(SIGSTOP);
}

/// What the child says of itself, for the tracer to read between two instructions.
struct Progress {
    Word begun;  // what is stepped
    Word done;
};

inline std::uint64_t load(const Word& word) {
    return word.load(std::memory_order_acquire);  // ORDER(board): pairs with store
}
inline void store(Word& word, std::uint64_t value) {
    word.store(value, std::memory_order_release);  // ORDER(board): pairs with load
}

/// A place on a child's way.
struct Stop {
    std::uintptr_t at;     // the instruction that is not executed any more
    std::uint64_t visits;  // which of the times that the child comes to it this is; 0: at the beginning
};

/// The tracer's side. The child must call stop_for_tracer().
class Stepper {
 public:
    explicit Stepper(Child& child) : child_(child) {
        if (!stopped()) throw std::runtime_error("the child ended before it was to be stepped");
    }

    /// One instruction; false if the child has ended.
    bool step() {
        if (::ptrace(PTRACE_SINGLESTEP, child_.pid(), nullptr, nullptr) != 0) return false;
        return stopped();
    }

    /// The address of the instruction that comes next.
    std::uintptr_t at() const {
        return static_cast<std::uintptr_t>(
            ::ptrace(PTRACE_PEEKUSER, child_.pid(), offsetof(user, regs.rip), nullptr));
    }

    /// Runs at full speed until it is about to execute the instruction at `address` for the `visits`-th
    /// time from now, by a breakpoint in a debug register. False if it ends before.
    bool run_to(std::uintptr_t address, std::uint64_t visits) {
        if (!set_debug_register(0, address) || !set_debug_register(7, kFirstBreakpointOnExecution)) {
            throw std::runtime_error("this host does not permit debug registers");
        }
        for (; visits != 0; --visits) {
            if (::ptrace(PTRACE_CONT, child_.pid(), nullptr, nullptr) != 0 || !stopped()) return false;
            if (at() != address) return false;
        }
        return true;
    }

    /// Steps through what the child does between `begun` and `done`, and calls `each` after each instruction
    /// with where it stands then. Returns where it has begun.
    template <class Each>
    Stop walk(const Progress& progress, const Each& each) {
        while (load(progress.begun) == 0) REQUIRE(step());
        const Stop start{at(), 0};
        std::map<std::uintptr_t, std::uint64_t> visits;
        while (load(progress.done) == 0) {
            REQUIRE(step());
            const std::uintptr_t here = at();
            each(Stop{here, ++visits[here]});
        }
        return start;
    }

    /// Runs another child, which does the same, from its start to `stop`. False if its way has led past: then
    /// it has ended.
    bool reaches(const Stop& start, const Stop& stop) {
        REQUIRE(run_to(start.at, 1));
        return stop.visits == 0 || run_to(stop.at, stop.visits);
    }

    /// Kills it where it stands.
    void kill() {
        child_.kill();
        child_.wait();
    }

 private:
    static constexpr std::uint64_t kFirstBreakpointOnExecution = 1;

    bool set_debug_register(unsigned index, std::uint64_t value) {
        const std::size_t offset = offsetof(user, u_debugreg) + index * sizeof(user::u_debugreg[0]);
        return ::ptrace(PTRACE_POKEUSER, child_.pid(), offset, value) == 0;
    }

    bool stopped() {
        int status = 0;
        if (::waitpid(child_.pid(), &status, 0) != child_.pid()) return false;
        if (WIFSTOPPED(status)) return true;
        child_.forget();
        return false;
    }

    Child& child_;
};

}  // namespace weir::shm::test
