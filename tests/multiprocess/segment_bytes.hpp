// The bytes of a segment, to see which instruction changes them.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace weir::shm::test {

class SegmentBytes {
 public:
    explicit SegmentBytes(const std::string& name) {
        const int file = ::open(("/dev/shm/" + name).c_str(), O_RDONLY | O_CLOEXEC);
        REQUIRE(file >= 0);
        size_ = static_cast<std::size_t>(::lseek(file, 0, SEEK_END));
        memory_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
        ::close(file);
        REQUIRE(memory_ != MAP_FAILED);
        last_.resize(size_);
        changed();
    }
    SegmentBytes(const SegmentBytes&) = delete;
    SegmentBytes& operator=(const SegmentBytes&) = delete;
    ~SegmentBytes() { ::munmap(memory_, size_); }

    /// Whether they have changed since the last call.
    bool changed() {
        if (std::memcmp(last_.data(), memory_, size_) == 0) return false;
        std::memcpy(last_.data(), memory_, size_);
        return true;
    }

 private:
    void* memory_;
    std::size_t size_;
    std::vector<char> last_;
};

}  // namespace weir::shm::test
