// A segment under a name of its own, which goes away with the program that made it.
//
// Thread safety: none.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "shm/segment.hpp"

namespace weir::bench {

/// How to open the segment `name`, whoever does it first.
inline shm::SegmentOptions options_of(std::string name, std::uint64_t size_bytes = 16u << 20) {
    shm::SegmentOptions options;
    options.name = std::move(name);
    options.size_bytes = size_bytes;
    return options;
}

class Scratch {
 public:
    explicit Scratch(std::string_view purpose, std::uint64_t size_bytes = 16u << 20)
        : name_("weir-bench-" + std::to_string(::getpid()) + "-" + std::string(purpose)),
          segment_(shm::Segment::open(options_of(name_, size_bytes))) {}
    ~Scratch() { shm::Segment::remove(name_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    const std::string& name() const noexcept { return name_; }
    shm::Segment& segment() noexcept { return segment_; }

 private:
    std::string name_;
    shm::Segment segment_;
};

}  // namespace weir::bench
