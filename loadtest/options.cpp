#include "loadtest/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

namespace weir::loadtest {
namespace {

constexpr int kExitUsage = 2;

void define_open_loop(CLI::App& app, Options& options) {
    auto* rate = app.add_option("--rate", options.rate,
                                "requests per second instead of batches, each sent when it is due")
                     ->check(CLI::Range(0.001, 1e6));
    auto* seconds = app.add_option("--seconds", options.seconds, "how long to send at --rate")
                        ->check(CLI::Range(0.001, 86'400.0));
    rate->needs(seconds);
    seconds->needs(rate);
    for (const char* batch_option : {"--requests", "--batches", "--pause"}) rate->excludes(batch_option);
}

void define_load(CLI::App& app, Options& options) {
    app.add_option("--requests", options.requests, "requests of a batch, all concurrent")
        ->capture_default_str()->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
    app.add_option("--batches", options.batches, "batches, one after the other")
        ->capture_default_str()->check(CLI::Range(1u, 1'000'000u));
    app.add_option("--pause", options.pause_seconds, "seconds between two batches")
        ->capture_default_str()->check(CLI::Range(0.0, 86'400.0));
    app.add_option("--processes", options.processes, "processes that share each batch")
        ->capture_default_str()->check(CLI::Range(1u, 256u));
    app.add_option("--model", options.model, "model to ask for")->capture_default_str();
}

void define_verdict(CLI::App& app, Options& options) {
    app.add_option("--expect", options.expect, "successes that each saturated window must have, over all");
    app.add_option("--limit", options.limit,
                   "most arrivals per window at each --ledger (default: the config's rpm, or the "
                   "upstream's own limit)");
    auto* answer_tokens = app.add_option("--answer-tokens", options.answer_tokens,
                                         "tokens that each answer uses, to judge limits on tokens by")
                              ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
    app.add_option("--tpm", options.tpm,
                   "most tokens per window at each --ledger (default: the config's tpm)")
        ->needs(answer_tokens);
    app.add_option("--ledger", options.ledgers, "a weir-fake-server whose ledger to judge by; repeatable");
    app.add_option("--window-seconds", options.window_seconds,
                   "length of the window (default: 60, or what the config says)")
        ->check(CLI::Range(0.01, 366.0 * 86'400));
    app.add_option("--transit-ms", options.transit_ms,
                   "longest time from a request's admission to its arrival at the upstream")
        ->capture_default_str()->check(CLI::Range(0.0, 60'000.0));
    app.add_option("--json", options.json, "write everything to this file as JSON; - is stdout");
}

void define_proxy(CLI::App& app, Options& options) {
    app.add_option("--url", options.urls, "base address of a proxy; repeatable, one is chosen at random "
                                          "for each request")->required();
    app.add_option("--api-key", options.api_key, "sent as the bearer key")->capture_default_str();
    app.add_option("--timeout", options.timeout_seconds, "seconds to wait for an answer")
        ->capture_default_str()->check(CLI::Range(0.001, 86'400.0));
    app.add_option("--instances", options.instances, "HTTP clients in each process (default 1)")
        ->check(CLI::Range(1u, 1024u));
}

void define_router(CLI::App& app, Options& options) {
    app.add_option("-c,--config", options.config, "LiteLLM config.yaml")->required();
    app.add_option("--instances", options.instances, "routers in each process (default 2)")
        ->check(CLI::Range(1u, 64u));
    app.add_option("--api-key", options.api_key, "accepted for symmetry; routers ask for no key");
}

}  // namespace

std::uint64_t Options::open_loop_requests() const noexcept {
    return static_cast<std::uint64_t>(std::max(1.0, std::round(rate.value_or(0) * seconds)));
}

CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version) {
    CommandLine line;
    Options& options = line.options;
    CLI::App app("Sends batches of concurrent requests, or requests at a constant rate, and judges whether "
                 "the limits held: exit status 0 if they did, 1 if not, 2 for a usage or configuration "
                 "error, 3 if it could not run.",
                 "weir-loadtest");
    app.set_version_flag("--version,-v", version);
    app.require_subcommand(1);
    CLI::App* proxy = app.add_subcommand("proxy", "over HTTP, to running proxies");
    CLI::App* router = app.add_subcommand("router", "through routers within its own processes");
    define_proxy(*proxy, options);
    define_router(*router, options);
    for (CLI::App* mode : {proxy, router}) {
        define_load(*mode, options);
        define_open_loop(*mode, options);
        define_verdict(*mode, options);
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        line.exit_status = app.exit(error) == 0 ? 0 : kExitUsage;
        return line;
    }
    options.mode = proxy->parsed() ? Mode::proxy : Mode::router;
    if (options.instances == 0) options.instances = options.mode == Mode::proxy ? 1 : 2;
    return line;
}

}  // namespace weir::loadtest
