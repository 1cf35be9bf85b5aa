// A C++ process that shares one limit with others: waits until all are there, takes what it can get
// until it is refused, and prints how much that was.
//     c_api_peer SEGMENT LIMIT PROCESSES
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "shm/segment.hpp"

using namespace weir::shm;

namespace {

void pause_us(long microseconds) {
    const timespec time{0, microseconds * 1000};
    ::nanosleep(&time, nullptr);
}

int share(const char* name, Units limit, Units processes) {
    SegmentOptions options;
    options.name = name;
    Segment segment = Segment::open(options);
    Participant me = segment.join("peer in C++");
    const LimiterName id{"key", "shared", Unit::requests, std::chrono::hours(24)};
    const Charge charge{segment.limiter(id, limit), 1};
    const Gauge here = segment.gauge("test", "here", 0);
    const Admission arrived = me.admit({{}, {&here, 1}}, now());
    const Nanos until = now() + std::chrono::seconds(20);
    while (me.in_flight(here) < processes) {
        if (now() > until) return 2;
        pause_us(100);
    }
    Units taken = 0;
    for (;;) {
        Admission admission = me.admit({{&charge, 1}, {}}, now());
        if (!admission.admitted()) break;
        admission.ticket.settle(0, 1, now());
        if (++taken % 16 == 0) pause_us(1);  // leave something to slower languages
    }
    std::printf("%llu\n", static_cast<unsigned long long>(taken));
    std::fflush(stdout);
    // Whoever left at once would no longer count as here for those who start last.
    while (me.usage(charge.limiter, now()).used < limit) pause_us(100);
    pause_us(300'000);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    try {
        return share(argv[1], std::strtoull(argv[2], nullptr, 10),
                     std::strtoull(argv[3], nullptr, 10));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "c_api_peer: %s\n", error.what());
        return 1;
    }
}
