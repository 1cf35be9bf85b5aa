#include "proxy/worker.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <stdexcept>

#include "proxy/log.hpp"
#include "proxy/service_manager.hpp"
#include "proxy/signals.hpp"
#include "router/random.hpp"

namespace weir::proxy {
namespace {

namespace ssl = router::asio::ssl;

constexpr std::chrono::milliseconds kLookDrained{20};
constexpr std::chrono::milliseconds kLeaveMost{200};

LogFormat log_format(const Options& options, const router::RouterConfig& config) {
    if (!options.access_log) return config.json_logs ? LogFormat::json : LogFormat::off;
    if (*options.access_log == "text") return LogFormat::text;
    return *options.access_log == "json" ? LogFormat::json : LogFormat::off;
}

/// After how many requests a worker ends; 0 for never.
std::uint64_t requests_most(const Options& options) {
    const std::uint64_t least = options.max_requests_before_restart;
    if (least == 0 || options.max_requests_jitter == 0) return least;
    return least + router::random_seed() % (options.max_requests_jitter + 1);
}

/// Whether who listens there is reached by this host alone.
bool is_loopback(const std::string& host) {
    router::ErrorCode is_name;
    const auto address = router::asio::ip::make_address(host, is_name);
    return is_name ? host == "localhost" : address.is_loopback();
}

}  // namespace

Worker::Worker(const Options& options, const router::RouterConfig& config, int listening,
               const std::string& role)
    : options_(options),
      router_options_{role, 0, [](std::string_view line) { log(LogLevel::warning, line); }},
      service_{router::Pulse(io_), std::make_shared<Setup>(io_, config, router_options_),
               AccessLog(log_format(options, config), STDOUT_FILENO), IdSource(router::random_seed()),
               client_tls(options)},
      server_(io_, service_, listening),
      signals_(io_, SIGTERM, SIGINT, SIGHUP),
      requests_most_(requests_most(options)),
      drained_(io_) {
    signals_.add(SIGUSR1);
    signals_.add(SIGUSR2);
}

void Worker::run() {
    service_.pulse.on_beat([this](shm::Nanos) { on_beat(); });
    service_.pulse.start();
    server_.start();
    await_signal();
    let_signals_in();
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
    switch (number) {
        case SIGHUP:
            return reload();
        case SIGUSR1:
            return change_log_level(1);
        case SIGUSR2:
            return change_log_level(-1);
        default:
            break;
    }
    if (service_.draining) return io_.stop();
    notify_manager("STOPPING=1");
    end();
}

void Worker::on_beat() {
    service_.log.flush();
    if (requests_most_ == 0 || service_.requests < requests_most_ || service_.draining) return;
    log(LogLevel::info,
        fmt::format("{} requests served; ending for a fresh worker", service_.requests));
    end();
}

void Worker::end() {
    drain_until_ = shm::now() + service_.setup->router.config().weir.drain;
    server_.drain();
    drain();
}

void Worker::reload() {
    const auto loaded = load(options_);
    if (!report_problems(loaded, options_)) {
        return log(LogLevel::error, "the new configuration has errors; the old one stays");
    }
    notify_reloading();
    try {
        auto tls = client_tls(options_);
        auto setup = std::make_shared<Setup>(io_, loaded.config, router_options_);
        service_.setup->router.hand_over(setup->router);
        service_.setup = std::move(setup);
        service_.tls = std::move(tls);  // connections that have it already keep it
        log(LogLevel::warning, "configuration reloaded");
    } catch (const std::exception& error) {
        log(LogLevel::error, fmt::format("{}; the old configuration stays", error.what()));
    }
    notify_manager("READY=1");
}

void Worker::drain() {
    if (server_.open() == 0 || shm::now() >= drain_until_) return leave();
    drained_.expires_after(kLookDrained);
    drained_.async_wait([this](const router::ErrorCode& error) {
        if (!error) drain();
    });
}

/// Other hosts can use what this one gives back; but no exit waits long for that.
void Worker::leave() {
    router::asio::co_spawn(io_, service_.setup->router.leave(shm::now() + kLeaveMost),
                           [this, setup = service_.setup](const std::exception_ptr&) { io_.stop(); });
}

bool report_problems(const router::LoadedConfig& loaded, const Options& options) {
    for (const auto& problem : loaded.problems) {
        fmt::print(stderr, "{}\n", router::to_string(problem, config_name(options)));
    }
    const auto open = loaded.ok() ? open_door(loaded.config) : std::nullopt;
    if (open) {
        log(is_loopback(options.host) ? LogLevel::info : LogLevel::warning,
            fmt::format("{}: {}", open->path, open->message));
    }
    return loaded.ok();
}

std::unique_ptr<ssl::context> client_tls(const Options& options) {
    if (options.ssl_certfile_path.empty()) return nullptr;
    auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
    context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                         ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                         ssl::context::no_tlsv1_1);
    router::ErrorCode error;
    context->use_certificate_chain_file(options.ssl_certfile_path, error);
    if (error) {
        throw std::runtime_error(
            fmt::format("--ssl_certfile_path {}: no certificate can be read: {}",
                        options.ssl_certfile_path, error.message()));
    }
    context->use_private_key_file(options.ssl_keyfile_path, ssl::context::pem, error);
    if (error) {
        throw std::runtime_error(
            fmt::format("--ssl_keyfile_path {}: not the key of the certificate: {}",
                        options.ssl_keyfile_path, error.message()));
    }
    return context;
}

}  // namespace weir::proxy
