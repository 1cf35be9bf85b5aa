// weir-fake-server: a fake OpenAI server with a limit and a ledger of its own.
// Exit codes: 0 stopped by a signal, 2 usage, 3 it could not listen.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "fake_server/server.hpp"

namespace {

using weir::fake_server::BindError;
using weir::fake_server::kNanosPerMilli;
using weir::fake_server::kNanosPerSecond;
using weir::fake_server::Server;
using weir::fake_server::ServerOptions;

constexpr int kDone = 0;
constexpr int kUsage = 2;
constexpr int kCannotListen = 3;

struct Arguments {
    double window_seconds = 60;
    double latency_ms = 0;
    double event_delay_ms = 0;
    double drain_seconds = 5;
    std::vector<std::uint64_t> tokens{9, 12};
};

void add_options(CLI::App& app, ServerOptions& options, Arguments& arguments) {
    auto& desk = options.desk;
    app.add_option("--port", options.port, "the next one when it is taken; 0 is any")
        ->capture_default_str();
    app.add_option("--host", options.host, "address to listen on")->capture_default_str();
    app.add_option("--rpm", desk.window.requests_max,
                   "requests per window and remote address; 0 is no limit")
        ->capture_default_str();
    app.add_option("--window-seconds", arguments.window_seconds, "length of the window")
        ->check(CLI::Range(0.001, 1e6))
        ->capture_default_str();
    app.add_option("--latency-ms", arguments.latency_ms, "before the first byte of an answer")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    app.add_option("--event-delay-ms", arguments.event_delay_ms, "between the events of a stream")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    app.add_option("--error-rate", desk.error_rate, "share of answers that are a 500")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--seed", desk.seed, "of the dice for --error-rate")->capture_default_str();
    app.add_option("--tokens", arguments.tokens, "PROMPT,COMPLETION tokens that answers state")
        ->delimiter(',')
        ->expected(2)
        ->check(CLI::Range(0.0, 1e12))
        ->capture_default_str();
    app.add_flag("--ratelimit-headers", desk.ratelimit_headers,
                 "tell limit, remaining and reset in x-ratelimit-* headers, as OpenAI does");
    app.add_option("--ledger-entries", desk.ledger_entries_max,
                   "arrivals kept; the oldest are overwritten")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    app.add_option("--drain-seconds", arguments.drain_seconds,
                   "running answers get this long after SIGTERM")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
}

std::int64_t nanos(double amount, std::int64_t unit_ns) {
    return std::llround(amount * static_cast<double>(unit_ns));
}

void apply(const Arguments& arguments, ServerOptions& options) {
    auto& desk = options.desk;
    desk.window.window_ns = nanos(arguments.window_seconds, kNanosPerSecond);
    desk.pace.latency_ns = nanos(arguments.latency_ms, kNanosPerMilli);
    desk.pace.event_delay_ns = nanos(arguments.event_delay_ms, kNanosPerMilli);
    desk.tokens = {arguments.tokens.at(0), arguments.tokens.at(1)};
    options.drain_ns = nanos(arguments.drain_seconds, kNanosPerSecond);
    options.stop_on_signals = true;
    options.on_port_taken = [](std::uint16_t port) {
        std::cerr << "weir-fake-server: port " << port << " is taken, trying the next\n";
    };
}

// A load test opens more connections than the usual 1,024 descriptors.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        std::cerr << "weir-fake-server: the limit of open files stays as it is\n";
    }
}

}  // namespace

int main(int argc, char** argv) {
    ServerOptions options;
    Arguments arguments;
    CLI::App app{"A fake OpenAI server with a limit and a ledger of its own.", "weir-fake-server"};
    app.set_version_flag("--version", WEIR_VERSION);
    app.footer("Exit codes: 0 stopped by a signal, 2 usage, 3 it could not listen.");
    add_options(app, options, arguments);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kDone : kUsage;
    }
    apply(arguments, options);
    raise_descriptor_limit();
    try {
        Server server(options);
        std::cout << "listening on " << server.url() << '\n' << std::flush;
        server.run();
        return kDone;
    } catch (const std::exception& error) {
        std::cerr << "weir-fake-server: " << error.what() << '\n';
        return kCannotListen;
    }
}
