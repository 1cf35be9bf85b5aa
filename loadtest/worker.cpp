#include "loadtest/worker.hpp"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "loadtest/question.hpp"
#include "shm/clock.hpp"

namespace weir::loadtest {
namespace {

using router::kAwait;

constexpr Nanos kProgressEvery = std::chrono::milliseconds(50);

/// Ends the io_context's run with the exception, if there is one.
void rethrow(std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
}

}  // namespace

Worker::Worker(asio::io_context& io, Caller& caller, int socket, std::string model, std::uint64_t seed)
    : io_(io), caller_(caller), socket_(socket), model_(std::move(model)), random_(seed), done_(io) {}

void Worker::run() {
    asio::co_spawn(io_, take_orders(), rethrow);
    send_message(socket_, Report{});
    io_.run();
}

Task<void> Worker::take_orders() {
    // Awaited, not read: between batches the routers' housekeeping goes on.
    asio::posix::basic_stream_descriptor<router::Executor> orders(io_, ::dup(socket_));
    for (;;) {
        const auto [ec] = co_await orders.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
        Order order;
        if (ec || !receive_message(socket_, order)) break;
        co_await run_batch(order);
        Report report;
        report.kind = Report::Kind::done;
        report.batch = batch_;
        send_message(socket_, report);
    }
    caller_.stop();
}

Task<void> Worker::run_batch(Order order) {
    std::vector<std::string> questions;
    questions.reserve(order.requests);
    for (std::uint64_t i = 0; i < order.requests; ++i) {
        questions.push_back(make_question(model_, random_));
    }
    // All processes have the same order, and so begin together.
    done_.expires_at(std::chrono::steady_clock::time_point(order.start));
    co_await done_.async_wait(kAwait);

    batch_ = {};
    batch_.start = shm::now();
    batch_.end = batch_.start;
    under_way_ = questions.size();
    done_.expires_at(std::chrono::steady_clock::time_point::max());
    for (std::string& question : questions) asio::co_spawn(io_, ask(std::move(question)), rethrow);
    if (under_way_ > 0) co_await done_.async_wait(kAwait);
}

Task<void> Worker::ask(std::string question) { count(co_await caller_.call(std::move(question))); }

void Worker::count(Outcome outcome) {
    const Nanos now = shm::now();
    batch_.tally.add(outcome);
    batch_.end = now;
    if (--under_way_ == 0) {
        done_.cancel();
        return;
    }
    if (now - reported_ < kProgressEvery) return;
    reported_ = now;
    Report report;
    report.kind = Report::Kind::progress;
    report.batch = batch_;
    send_message(socket_, report, false);
}

}  // namespace weir::loadtest
