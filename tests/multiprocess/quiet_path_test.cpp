// A decision makes no system call and allocates nothing. The kernel kills the child at the first call that it
// makes, but for its exit; and operator new counts.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include "crew.hpp"
#include "shm/health.hpp"
#include "shm/segment.hpp"
#include "tests/unit/shm/scratch_segment.hpp"

namespace {

std::size_t allocations = 0;  // of this process, by operator new; one thread

}  // namespace

void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace weir::shm {
namespace {

using test::Child;
using test::ScratchName;

constexpr int kDecisions = 1000;

/// From here on the only system call left is exit_group: any other ends the process by SIGSYS.
bool forbid_system_calls() {
    constexpr auto kNumberAt = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
    std::array<sock_filter, 4> filter{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumberAt),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    }};
    sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Everything that is on the path of a request, 1,000 times, in a child that may not call the system.
struct Path {
    Segment segment;
    Participant me = segment.join("quiet");
    Health health = segment.health("deployment", "d");
    Counter counter = segment.counter("requests");
    Gauge gauge = segment.gauge("key", "g", 10);
    Charge requests{segment.limiter({"key", "requests"}, 500), 1};
    Charge tokens{segment.limiter({"key", "tokens", Unit::tokens}, 1'000'000), 100};

    explicit Path(const SegmentOptions& options) : segment(Segment::open(options)) {}

    /// Decides, settles for less and for more, looks and asks when. Returns how many were admitted.
    int walk() {
        int admitted = 0;
        for (int i = 0; i < kDecisions; ++i) {
            const Nanos t = now();
            const std::array<Charge, 2> charges{requests, tokens};
            const Demand demand{charges, {&gauge, 1}};
            if (!me.would_admit(demand, t)) (void)me.earliest(demand, t);
            Admission admission = me.admit(demand, t);
            if (admission.admitted()) ++admitted;
            admission.ticket.settle(1, i % 2 == 0 ? 60 : 140, now());
            admission.ticket.close();
            (void)me.usage(tokens.limiter, t);
            (void)me.in_flight(gauge);
            me.charge(tokens.limiter, 1, t);
            record_success(health, t, {Nanos(1000)});
            Segment::add(counter, 1);
        }
        return admitted;
    }
};

}  // namespace

TEST_CASE("a thousand decisions, admitted and refused, make no system call") {
    const ScratchName scratch;
    Child child([&] {
        Path path(scratch.options());
        if (!forbid_system_calls()) return 77;
        // The path ends within this process: leaving the segment would call the system.
        ::_exit(path.walk() == 500 ? 0 : 1);
    });
    const int code = child.wait();
    if (code == 77) {
        WARN("this kernel has no seccomp filters: not tested");
        return;
    }
    CHECK(code == 0);
}

TEST_CASE("the filter is real: a system call on the path would end the process") {
    Child child([] {
        if (!forbid_system_calls()) return 77;
        ::syscall(SYS_getppid);
        return 0;
    });
    const int code = child.wait();
    if (code != 77) CHECK(code == 256 + SIGSYS);
}

TEST_CASE("a thousand decisions allocate nothing") {
    const ScratchName scratch;
    Path path(scratch.options());
    const std::size_t before = allocations;
    CHECK(before > 0);  // the counter counts
    const int admitted = path.walk();
    const std::size_t after = allocations;
    CHECK(after == before);
    CHECK(admitted == 500);
}

}  // namespace weir::shm
