// A program that limits itself with the installed weir::shm.
#include <unistd.h>

#include <string>

#include "every_header.hpp"

int main() {
    using namespace weir::shm;
    SegmentOptions options;
    options.name = "weir-package-" + std::to_string(::getpid());
    options.size_bytes = 1u << 20;
    int admitted = 0;
    {
        Segment segment = Segment::open(options);
        Participant me = segment.join("consumer");
        const Charge charge{segment.limiter({"key", "alice"}, 3), 1};
        for (int i = 0; i < 5; ++i) {
            Admission admission = me.admit({{&charge, 1}, {}}, now());
            if (admission.admitted()) ++admitted;
        }
    }
    Segment::remove(options.name);
    return admitted == 3 ? 0 : 1;
}
