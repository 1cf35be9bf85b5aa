// A segment of its own for each test, with one participant that asks.
#pragma once

#include <string>
#include <vector>

#include "scratch_segment.hpp"
#include "shm/segment.hpp"

namespace weir::shm::test {

struct LimiterFixture {
    ScratchName scratch;
    Segment segment = Segment::open(scratch.options());
    Participant me = segment.join("test");
    Nanos t = now();

    Limiter limiter(const char* name, Units limit) { return segment.limiter({"key", name}, limit); }
    Admission admit(std::vector<Charge> charges, std::vector<Gauge> holds = {}) {
        return me.admit({charges, holds}, t);
    }
    Units used(Limiter limiter) { return me.usage(limiter, t).used; }
};

}  // namespace weir::shm::test
