// weir-proxy: an OpenAI-compatible proxy whose limits hold across all its processes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>

#include "proxy/server.hpp"

namespace {

constexpr int kExitUsage = 2;
constexpr int kExitCannotRun = 3;

struct Options {
    std::string config;
    std::string host = "0.0.0.0";
    std::uint16_t port = 4000;
    unsigned num_workers = 1;
};

/// Prints what there is to say about the file; false if it cannot be used.
bool report(const weir::router::LoadedConfig& loaded, const std::string& file) {
    for (const auto& problem : loaded.problems) {
        fmt::print(stderr, "{}\n", weir::router::to_string(problem, file));
    }
    return loaded.ok();
}

int serve(const Options& options, const weir::router::RouterConfig& config) {
    namespace proxy = weir::proxy;
    const int listening = proxy::listen_on(options.host, options.port, false);
    const std::uint16_t port = proxy::port_of(listening);

    weir::router::asio::io_context io(1);
    weir::router::RouterOptions router_options;
    router_options.role = fmt::format("proxy:{}", port);
    weir::router::Router router(io, config, router_options);
    router.start();
    proxy::Service service{router, proxy::Keys(config)};
    proxy::Server server(io, service, listening);
    server.start();
    fmt::print("listening on http://{}:{}\n", options.host, port);
    std::fflush(stdout);

    weir::router::asio::signal_set signals(io, SIGTERM, SIGINT);
    signals.async_wait([&](const weir::router::ErrorCode&, int) { io.stop(); });
    io.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("An OpenAI-compatible proxy that reads a LiteLLM config.yaml and keeps its limits exactly.",
                 "weir-proxy");
    app.set_version_flag("--version,-v", WEIR_VERSION);
    app.add_option("--config,-c", options.config, "LiteLLM config.yaml")->required()->envname("CONFIG_FILE_PATH");
    app.add_option("--host", options.host, "address to listen on")->capture_default_str()->envname("HOST");
    app.add_option("--port", options.port, "port to listen on, 0 for any")->capture_default_str()->envname("PORT");
    app.add_option("--num_workers", options.num_workers, "processes")->capture_default_str()->envname("NUM_WORKERS");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kExitUsage;
    }
    const auto loaded = weir::router::load_config(options.config);
    if (!report(loaded, options.config)) return kExitUsage;
    try {
        return serve(options, loaded.config);
    } catch (const std::exception& error) {
        fmt::print(stderr, "weir-proxy: {}\n", error.what());
        return kExitCannotRun;
    }
}
