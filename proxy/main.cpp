// weir-proxy: an OpenAI-compatible proxy whose limits hold across all its processes.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "proxy/asker.hpp"
#include "proxy/command_line.hpp"
#include "proxy/config_check.hpp"
#include "proxy/keys.hpp"
#include "proxy/log.hpp"
#include "proxy/service_manager.hpp"
#include "proxy/supervisor.hpp"
#include "proxy/worker.hpp"

namespace {

namespace proxy = weir::proxy;
namespace router = weir::router;

constexpr int kExitUsage = 2;
constexpr int kExitCannotRun = 3;

/// Every connection of a client may need one to an upstream.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// What `weir-proxy check` does.
int check(const proxy::Options& options) {
    auto loaded = proxy::load(options);
    proxy::warn_of_empty_shares(loaded);
    if (options.json) {
        const auto open = loaded.ok() ? proxy::open_door(loaded.config) : std::nullopt;
        if (open) loaded.problems.push_back(*open);
        fmt::print("{}", proxy::check_json(loaded));
    } else if (proxy::report_problems(loaded, options)) {
        fmt::print("{}\n{}", proxy::limits_table(proxy::effective_limits(loaded.config)),
                   proxy::redis_table(loaded.config.weir));
    }
    return loaded.ok() ? 0 : kExitUsage;
}

void announce(const proxy::Options& options, std::uint16_t port) {
    fmt::print("listening on {}://{}:{}\n", options.ssl_certfile_path.empty() ? "http" : "https",
               options.host, port);
    std::fflush(stdout);
    proxy::notify_manager("READY=1");
}

/// The sockets of `count` workers. Each has one of its own on the same port, between which the
/// kernel shares out the connections evenly; only one that was handed down is everybody's.
std::vector<int> listen(const proxy::Options& options, unsigned count) {
    if (const auto inherited = proxy::inherited_socket())
        return std::vector<int>(count, *inherited);
    std::vector<int> listening = {proxy::listen_on(options.host, options.port, count > 1)};
    const std::uint16_t port = proxy::port_of(listening[0]);
    while (listening.size() < count)
        listening.push_back(proxy::listen_on(options.host, port, true));
    return listening;
}

int serve_alone(const proxy::Options& options, const router::RouterConfig& config) {
    const int listening = listen(options, 1)[0];
    const std::uint16_t port = proxy::port_of(listening);
    proxy::Worker worker(options, config, listening, fmt::format("proxy:{}", port));
    announce(options, port);
    worker.run();
    return 0;
}

int serve_as_worker(const proxy::Options& options, int listening, unsigned index) {
    try {
        // Read here, not handed down: a worker that is restarted goes by the file of today.
        const auto loaded = proxy::load(options);
        if (!loaded.ok())
            throw std::runtime_error("the configuration has errors: " +
                                     proxy::config_name(options));
        const std::string role =
            fmt::format("proxy:{} worker {}", proxy::port_of(listening), index);
        proxy::Worker(options, loaded.config, listening, role).run();
        return 0;
    } catch (const std::exception& error) {
        proxy::log(proxy::LogLevel::error, fmt::format("worker {}: {}", index, error.what()));
        return kExitCannotRun;
    }
}

int serve_with_workers(const proxy::Options& options, const router::RouterConfig& config) {
    // Made once here, so that what is wrong with it is said once and before anything starts.
    weir::shm::SegmentOptions segment;
    segment.name = config.weir.segment;
    segment.size_bytes = config.weir.segment_size;
    weir::shm::Segment::open(segment);
    proxy::client_tls(options);

    const std::vector<int> listening = listen(options, options.num_workers);
    proxy::Supervisor supervisor(
        options.num_workers,
        [&](unsigned index) { return serve_as_worker(options, listening[index], index); },
        [&] {
            const bool good = proxy::report_problems(proxy::load(options), options);
            if (!good)
                proxy::log(proxy::LogLevel::error,
                           "the new configuration has errors; the old one stays");
            return good;
        });
    supervisor.start();
    announce(options, proxy::port_of(listening[0]));
    return supervisor.run();
}

int serve(const proxy::Options& options) {
    const auto loaded = proxy::load(options);
    if (!proxy::report_problems(loaded, options)) return kExitUsage;
    raise_descriptor_limit();
    const bool alone = options.num_workers == 1 && options.max_requests_before_restart == 0;
    return alone ? serve_alone(options, loaded.config) : serve_with_workers(options, loaded.config);
}

/// The key for a proxy that runs by the same configuration, or environment. Empty if there is none.
std::string master_key(const proxy::Options& options) {
    if (!options.config.empty()) {
        const auto loaded = router::load_config(options.config);
        if (loaded.ok()) return loaded.config.master_key;
    }
    const char* const key = std::getenv("LITELLM_MASTER_KEY");
    return key ? key : "";
}

/// What `--health` and `--test` do.
int ask(const proxy::Options& options) {
    std::string error;
    const auto url = proxy::proxy_url(options, error);
    if (!url) {
        fmt::print(stderr, "{}: {}\n", options.test_url, error);
        return kExitUsage;
    }
    proxy::Asker asker(*url, master_key(options));
    const auto say = [](std::string_view text) {
        fmt::print("{}", text);
        std::fflush(stdout);
    };
    return options.job == proxy::Job::test ? proxy::show_test(asker, options.model, say)
                                           : proxy::show_health(asker, say);
}

int run(const proxy::Options& options) {
    switch (options.job) {
        case proxy::Job::check: return check(options);
        case proxy::Job::show_health:
        case proxy::Job::test: return ask(options);
        case proxy::Job::serve: break;
    }
    return serve(options);
}

}  // namespace

int main(int argc, char** argv) {
    const auto line = proxy::read_command_line({argv + 1, argv + argc}, WEIR_VERSION);
    if (line.exit_status) {
        fmt::print(*line.exit_status == 0 ? stdout : stderr, "{}", line.text);
        return *line.exit_status;
    }
    proxy::set_log_level(proxy::log_level_from(line.options.log_level));
    for (const std::string& warning : line.warnings) proxy::log(proxy::LogLevel::warning, warning);
    try {
        return run(line.options);
    } catch (const std::exception& error) {
        proxy::log(proxy::LogLevel::error, error.what());
        return kExitCannotRun;
    }
}
