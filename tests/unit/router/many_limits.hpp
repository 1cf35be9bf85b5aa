// Many limits of a host, each with words of its own, and how often they were read.
#pragma once

#include <cstdint>
#include <vector>

#include "router/redis/lease_roster.hpp"

namespace weir::router::test {

struct ManyLimits final : LeaseAccess {
    std::vector<shm::LeaseReading> words;
    std::size_t reads = 0;

    explicit ManyLimits(std::size_t count) : words(count, shm::LeaseReading{100, 0, 0, 0, 0, 0}) {}
    shm::LeaseReading read(std::size_t limit, shm::Nanos) override {
        ++reads;
        return words[limit];
    }
    std::uint64_t wanted(std::size_t limit) override { return words[limit].wanted; }
    void set_lease(std::size_t limit, shm::Units lease, shm::Nanos) override { words[limit].lease = lease; }
    void set_barren(std::size_t, shm::Nanos) override {}
    void raised() override {}
};

}  // namespace weir::router::test
