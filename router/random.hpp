// Where random generators begin.
//
// Thread safety: all of it.
#pragma once

#include <cstdint>
#include <random>

namespace weir::router {

/// Another one each time, from the system. Throws std::runtime_error where it has none.
inline std::uint64_t random_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

}  // namespace weir::router
