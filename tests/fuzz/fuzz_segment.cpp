// Bytes of a segment. The input is a list of changes to a segment in use: 4 bytes of place, 8 of
// value. Whatever they are, looks and decisions end, and a decision is a verdict.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/admission.hpp"
#include "shm/clock.hpp"
#include "shm/inspector.hpp"
#include "shm/participant.hpp"
#include "shm/segment.hpp"
#include "shm/ticket.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/support/scratch.hpp"

using namespace weir::shm;
using weir::test::promise;

namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20;
constexpr std::size_t kChange = 12;

/// A segment with something in every table, and its bytes as they were.
struct Subject {
    Subject() {
        SegmentOptions options;
        options.name = scratch.name();
        options.size_bytes = kBytes;
        segment.emplace(Segment::open(options));
        participant.emplace(segment->join("fuzz"));
        limiter =
            segment->limiter({"deployment", "one", Unit::requests, std::chrono::seconds(60)}, 100);
        gauge = segment->gauge("deployment", "one", 5);
        segment->health("deployment", "one");
        segment->line("group", "one");
        Segment::add(segment->counter("fuzz_total"), 3);
        const int fd = ::open(("/dev/shm/" + scratch.name()).c_str(), O_RDWR | O_CLOEXEC);
        void* const at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::close(fd);
        promise(at != MAP_FAILED, "the segment can be mapped");
        bytes = static_cast<unsigned char*>(at);
        sound.assign(bytes, bytes + kBytes);
    }

    weir::test::ScratchSegment scratch;
    std::optional<Segment> segment;
    std::optional<Participant> participant;
    Limiter limiter;
    Gauge gauge;
    unsigned char* bytes = nullptr;
    std::vector<unsigned char> sound;
};

void look(const std::string& name) {
    try {
        const Segment read = Segment::attach(name);
        const Inspector inspector(read);
        (void)inspector.gauges();
        (void)inspector.healths(now());
        (void)inspector.waiters();
        (void)inspector.decisions(100);
        (void)inspector.audit();
        (void)read.limiters(now());
        (void)read.participants();
        (void)read.own_counters();
    } catch (const SegmentError&) {
        // A segment that is not what it says is refused.
    }
}

void decide(Subject& subject) {
    Demand demand;
    const Charge charges[] = {{subject.limiter, 1}};
    const Gauge holds[] = {subject.gauge};
    demand.charges = charges;
    demand.holds = holds;
    for (int i = 0; i < 3; ++i) (void)subject.participant->admit(demand, now());
    (void)subject.participant->usage(subject.limiter, now());
    try {
        (void)subject.segment->limiter(
            {"deployment", "two", Unit::requests, std::chrono::seconds(60)}, 100);
    } catch (const std::exception&) {
        // A table of garbage may be full.
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Subject subject;
    std::memcpy(subject.bytes, subject.sound.data(), kBytes);
    for (std::size_t at = 0; at + kChange <= size; at += kChange) {
        std::uint32_t place = 0;
        std::memcpy(&place, data + at, sizeof place);
        std::memcpy(subject.bytes + place % (kBytes - 8) / 8 * 8, data + at + sizeof place, 8);
    }
    look(subject.scratch.name());
    decide(subject);
    return 0;
}
