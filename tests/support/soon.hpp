// Waiting in tests: never for a fixed time, always for something to become true.
#pragma once

#include <chrono>
#include <thread>

namespace weir::test {

/// Asks again and again until `done`, for as long as a slow machine may need; false if it never is.
template <class Done>
bool soon(Done&& done, std::chrono::seconds patience = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

/// For what must not happen meanwhile, or must take its time.
inline void pause_for(std::chrono::microseconds duration) { std::this_thread::sleep_for(duration); }

}  // namespace weir::test
