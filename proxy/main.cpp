// weir-proxy: an OpenAI-compatible proxy whose limits hold across all its processes.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "proxy/supervisor.hpp"
#include "proxy/worker.hpp"

namespace {

namespace proxy = weir::proxy;
namespace router = weir::router;

constexpr int kExitUsage = 2;
constexpr int kExitCannotRun = 3;

void define_options(CLI::App& app, proxy::Options& options) {
    app.add_option("-c,--config", options.config, "LiteLLM config.yaml")->required()->envname("CONFIG_FILE_PATH");
    app.add_option("--host", options.host, "address to listen on")->capture_default_str()->envname("HOST");
    app.add_option("--port", options.port, "port to listen on, 0 for any free one")->capture_default_str()->envname("PORT");
    app.add_option("--num_workers", options.num_workers, "processes that serve")
        ->capture_default_str()->envname("NUM_WORKERS")->check(CLI::Range(1, 512));
    app.add_option("--access_log", options.access_log, "a line for each request on standard output: text, json or off")
        ->capture_default_str()->check(CLI::IsMember({"text", "json", "off"}));
    app.add_option("--drain_seconds", options.drain_seconds, "time for requests under way when told to end")
        ->capture_default_str();
}

/// Every connection of a client may need one to an upstream.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

void announce(const proxy::Options& options, std::uint16_t port) {
    fmt::print("listening on http://{}:{}\n", options.host, port);
    std::fflush(stdout);
}

int serve_alone(const proxy::Options& options, const router::RouterConfig& config) {
    const int listening = proxy::listen_on(options.host, options.port, false);
    const std::uint16_t port = proxy::port_of(listening);
    proxy::Worker worker(options, config, listening, fmt::format("proxy:{}", port));
    announce(options, port);
    worker.run();
    return 0;
}

int serve_as_worker(const proxy::Options& options, int listening, unsigned index) {
    try {
        // Read here, not handed down: a worker that is restarted goes by the file of today.
        const auto loaded = router::load_config(options.config);
        if (!loaded.ok()) throw std::runtime_error("the configuration has errors: " + options.config);
        const std::string role = fmt::format("proxy:{} worker {}", proxy::port_of(listening), index);
        proxy::Worker(options, loaded.config, listening, role).run();
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "weir-proxy: worker {}: {}\n", index, error.what());
        return kExitCannotRun;
    }
}

/// Each worker has a socket of its own on the same port, between which the kernel shares out the
/// connections evenly.
int serve_with_workers(const proxy::Options& options, const router::RouterConfig& config) {
    // Made once here, so that what is wrong with it is said once and before anything starts.
    weir::shm::SegmentOptions segment;
    segment.name = config.weir.segment;
    segment.size_bytes = config.weir.segment_size;
    weir::shm::Segment::open(segment);

    std::vector<int> listening = {proxy::listen_on(options.host, options.port, true)};
    const std::uint16_t port = proxy::port_of(listening[0]);
    while (listening.size() < options.num_workers) {
        listening.push_back(proxy::listen_on(options.host, port, true));
    }
    proxy::Supervisor supervisor(
        options.num_workers,
        [&](unsigned index) { return serve_as_worker(options, listening[index], index); },
        [&] {
            const bool good = proxy::report_problems(router::load_config(options.config), options.config);
            if (!good) fmt::print(stderr, "weir-proxy: the new configuration has errors; the old one stays\n");
            return good;
        });
    announce(options, port);
    return supervisor.run();
}

}  // namespace

int main(int argc, char** argv) {
    proxy::Options options;
    CLI::App app("An OpenAI-compatible proxy that reads a LiteLLM config.yaml and keeps its limits exactly.",
                 "weir-proxy");
    app.set_version_flag("--version,-v", WEIR_VERSION);
    define_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kExitUsage;
    }
    const auto loaded = router::load_config(options.config);
    if (!proxy::report_problems(loaded, options.config)) return kExitUsage;
    raise_descriptor_limit();
    try {
        return options.num_workers == 1 ? serve_alone(options, loaded.config)
                                        : serve_with_workers(options, loaded.config);
    } catch (const std::exception& error) {
        fmt::print(stderr, "weir-proxy: {}\n", error.what());
        return kExitCannotRun;
    }
}
