#include "router/turn.hpp"

#include <algorithm>
#include <cmath>

namespace weir::router {
namespace {

constexpr std::uint64_t kStandBackNanos = 10'000'000;

}  // namespace

std::uint64_t turns(const Crowd& crowd, RandomSource random) noexcept {
    if (crowd.all <= crowd.own && crowd.urgent == 0) return crowd.room;
    const bool patient = crowd.stood_back < kStandBackMax;
    const std::uint64_t left = crowd.room - (patient ? std::min(crowd.room, crowd.urgent) : 0);
    const double part = static_cast<double>(left) * static_cast<double>(crowd.own) /
                        static_cast<double>(std::max(crowd.all, crowd.own));
    const double whole = std::floor(part);
    const double lot = static_cast<double>(random() >> 11) * 0x1p-53;  // in [0, 1)
    const std::uint64_t count = static_cast<std::uint64_t>(whole) + (lot < part - whole ? 1 : 0);
    return patient ? count : std::max<std::uint64_t>(count, std::min<std::uint64_t>(crowd.room, 1));
}

shm::Nanos stand_back_time(RandomSource random) noexcept {
    return shm::Nanos(static_cast<std::int64_t>(kStandBackNanos + random() % kStandBackNanos));
}

}  // namespace weir::router
