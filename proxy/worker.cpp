#include "proxy/worker.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <random>

namespace weir::proxy {
namespace {

constexpr std::chrono::milliseconds kLookDrained{20};

LogFormat log_format(const std::string& name) {
    if (name == "text") return LogFormat::text;
    return name == "json" ? LogFormat::json : LogFormat::off;
}

std::uint64_t random_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

Worker::Worker(const Options& options, const router::RouterConfig& config, int listening,
               const std::string& role)
    : options_(options),
      router_options_{role, 0},
      service_{router::Pulse(io_), std::make_shared<Setup>(io_, config, router_options_),
               AccessLog(log_format(options.access_log), STDOUT_FILENO), IdSource(random_seed()), false},
      server_(io_, service_, listening),
      signals_(io_, SIGTERM, SIGINT, SIGHUP),
      drained_(io_) {}

void Worker::run() {
    service_.pulse.on_beat([this](shm::Nanos) { service_.log.flush(); });
    service_.pulse.start();
    server_.start();
    await_signal();
    io_.run();
}

void Worker::await_signal() {
    signals_.async_wait([this](const router::ErrorCode& error, int number) {
        if (error) return;
        on_signal(number);
        await_signal();
    });
}

void Worker::on_signal(int number) {
    if (number == SIGHUP) {
        reload();
    } else if (service_.draining) {
        io_.stop();
    } else {
        drain_until_ = shm::now() + std::chrono::seconds(options_.drain_seconds);
        server_.drain();
        drain();
    }
}

void Worker::reload() {
    const auto loaded = router::load_config(options_.config);
    if (!report_problems(loaded, options_.config)) {
        fmt::print(stderr, "weir-proxy: the new configuration has errors; the old one stays\n");
        return;
    }
    try {
        const auto before = service_.setup;
        service_.setup = std::make_shared<Setup>(io_, loaded.config, router_options_);
        fmt::print(stderr, "weir-proxy: configuration reloaded\n");
    } catch (const std::exception& error) {
        fmt::print(stderr, "weir-proxy: {}; the old configuration stays\n", error.what());
    }
}

void Worker::drain() {
    if (server_.open() == 0 || shm::now() >= drain_until_) return io_.stop();
    drained_.expires_after(kLookDrained);
    drained_.async_wait([this](const router::ErrorCode& error) {
        if (!error) drain();
    });
}

bool report_problems(const router::LoadedConfig& loaded, const std::string& file) {
    for (const auto& problem : loaded.problems) {
        fmt::print(stderr, "{}\n", router::to_string(problem, file));
    }
    return loaded.ok();
}

}  // namespace weir::proxy
