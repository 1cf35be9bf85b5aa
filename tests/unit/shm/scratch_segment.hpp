// A segment under a name of its own that goes away with the test, also when the test fails.
#pragma once

#include <unistd.h>

#include <functional>
#include <string>

#include "shm/segment.hpp"
#include "tests/support/sweep.hpp"

namespace weir::shm::test {

inline std::string scratch_name() {
    weir::test::sweep_once();
    static int count = 0;
    return "weir-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

struct ScratchName {
    std::string name = scratch_name();
    ScratchName() = default;
    ScratchName(const ScratchName&) = delete;
    ScratchName& operator=(const ScratchName&) = delete;
    ~ScratchName() { Segment::remove(name); }

    SegmentOptions options(std::uint64_t size_bytes = 1u << 20) const {
        SegmentOptions options;
        options.name = name;
        options.size_bytes = size_bytes;
        return options;
    }
    std::string path() const { return "/dev/shm/" + name; }
};

/// Why `action` throws a SegmentError, and its message; attached if it does not.
inline Attach reason_of(const std::function<void()>& action, std::string* message = nullptr) {
    try {
        action();
    } catch (const SegmentError& error) {
        if (message != nullptr) *message = error.what();
        return error.reason();
    }
    return Attach::attached;
}

}  // namespace weir::shm::test
