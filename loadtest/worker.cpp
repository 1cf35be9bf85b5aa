#include "loadtest/worker.hpp"

#include <unistd.h>

#include <algorithm>
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
        if (order.interval > Nanos(0)) {
            co_await run_open_loop(order);
        } else {
            co_await run_batch(order);
        }
        Report report;
        report.kind = Report::Kind::done;
        report.batch = batch_;
        report.latencies = latencies_;
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
    latencies_ = {};
    batch_.start = shm::now();
    batch_.end = batch_.start;
    under_way_ = questions.size();
    done_.expires_at(std::chrono::steady_clock::time_point::max());
    for (std::string& question : questions) asio::co_spawn(io_, ask(std::move(question)), rethrow);
    if (under_way_ > 0) co_await done_.async_wait(kAwait);
}

// A request that is late because the process was busy counts from when it was due: otherwise the slowest
// moments would be those with the fewest requests to notice them.
Task<void> Worker::run_open_loop(Order order) {
    std::vector<Batch> slices;
    if (order.requests > 0) {
        const Nanos last = order.first + order.interval * static_cast<std::int64_t>(order.requests - 1);
        slices.resize(static_cast<std::size_t>(last / order.slice) + 1);
    }
    batch_ = {};
    batch_.start = order.start;
    latencies_ = {};
    // One more than the requests, so that it is not over before the last of them is sent.
    under_way_ = order.requests + 1;
    router::Timer due(io_);
    for (std::uint64_t i = 0; i < order.requests; ++i) {
        const Nanos at = order.first + order.interval * static_cast<std::int64_t>(i);
        if (order.start + at > shm::now()) {
            due.expires_at(std::chrono::steady_clock::time_point(order.start + at));
            co_await due.async_wait(kAwait);
        }
        Batch& slice = slices[static_cast<std::size_t>(at / order.slice)];
        asio::co_spawn(io_, ask_in_slice(order.start + at, slice), rethrow);
    }
    done_.expires_at(std::chrono::steady_clock::time_point::max());
    if (--under_way_ > 0) co_await done_.async_wait(kAwait);
    report_slices(slices);
}

Task<void> Worker::ask(std::string question) {
    const Outcome outcome = co_await caller_.call(std::move(question));
    count(outcome, shm::now());
}

Task<void> Worker::ask_in_slice(Nanos due, Batch& slice) {
    // They are sent in order, so that the first to come here is the slice's first.
    if (slice.start == Nanos(0)) slice.start = shm::now();
    const Outcome outcome = co_await caller_.call(make_question(model_, random_));
    const Nanos now = shm::now();
    slice.tally.add(outcome);
    slice.end = std::max(slice.end, now);
    latencies_.add(now - due);
    count(outcome, now);
}

void Worker::report_slices(const std::vector<Batch>& slices) {
    Report report;
    report.kind = Report::Kind::slice;
    for (std::size_t i = 0; i < slices.size(); ++i) {
        if (slices[i].tally.total() == 0) continue;
        report.index = i;
        report.batch = slices[i];
        send_message(socket_, report);
    }
}

void Worker::count(Outcome outcome, Nanos now) {
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
