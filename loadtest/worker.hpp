// One working process of a load test: takes orders and sends the requests of each, all at once or at a
// constant rate.
//
// Thread safety: none.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "loadtest/caller.hpp"
#include "loadtest/message.hpp"

namespace weir::loadtest {

class Worker {
 public:
    /// Takes orders from `socket`, which it does not own. `caller` must outlive it.
    Worker(asio::io_context& io, Caller& caller, int socket, std::string model, std::uint64_t seed);

    /// Runs the io_context until the parent has no more orders. Throws what a call throws.
    void run();

 private:
    Task<void> take_orders();
    Task<void> run_batch(Order order);
    Task<void> run_open_loop(Order order);
    Task<void> ask(std::string question);
    Task<void> ask_in_slice(Nanos due, Batch& slice);
    void count(Outcome outcome, Nanos now);
    void report_slices(const std::vector<Batch>& slices);

    asio::io_context& io_;
    Caller& caller_;
    int socket_;
    std::string model_;
    std::mt19937_64 random_;
    router::Timer done_;  // expires when the last answer is in
    Batch batch_;
    Latencies latencies_;
    std::uint64_t under_way_ = 0;
    Nanos reported_{0};
};

}  // namespace weir::loadtest
