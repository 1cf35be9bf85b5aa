// Waiting for something that another thread or process will do, with a deadline that only a broken
// program meets; never for a fixed time, if it is to become true.
#pragma once

#include <chrono>
#include <thread>

namespace weir::test {

/// Ample: a loaded machine may take seconds for what takes milliseconds.
inline constexpr std::chrono::seconds kPatience{30};

/// Asks `done` every few milliseconds until it says true. False after `patience`.
template <class Done>
bool wait_until(Done done, std::chrono::nanoseconds patience = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() >= deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    return true;
}

/// For what must not happen meanwhile, or must take its time.
inline void pause_for(std::chrono::nanoseconds duration) { std::this_thread::sleep_for(duration); }

}  // namespace weir::test
