// Coroutines of the load test, run to their ends by a test.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <utility>
#include <vector>

#include "loadtest/caller.hpp"

namespace weir::loadtest::test {

/// Runs `tasks` at the same time until all have ended; what they return, in their order.
template <class T>
std::vector<T> all_of(asio::io_context& io, std::vector<Task<T>> tasks) {
    std::vector<T> results(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        asio::co_spawn(io, std::move(tasks[i]), [&results, i](std::exception_ptr error, T result) {
            if (error) std::rethrow_exception(error);
            results[i] = std::move(result);
        });
    }
    io.restart();
    io.run();
    return results;
}

template <class T>
T result_of(asio::io_context& io, Task<T> task) {
    std::vector<Task<T>> one;
    one.push_back(std::move(task));
    return std::move(all_of(io, std::move(one))[0]);
}

}  // namespace weir::loadtest::test
