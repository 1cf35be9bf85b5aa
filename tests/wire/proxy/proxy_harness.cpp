#include "tests/wire/proxy/proxy_harness.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <future>
#include <thread>
#include <vector>

#include "fake_server/server.hpp"
#include "proxy/server.hpp"

namespace weir::proxy::test {
namespace {

fake_server::ServerOptions unlimited() {
    fake_server::ServerOptions options;
    options.port = 0;
    options.drain_ns = 0;
    options.desk.window.requests_max = 0;
    return options;
}

std::string segment_name() {
    static int count = 0;
    return "weir-test-proxy-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

}  // namespace

struct Upstream::Impl {
    fake_server::Server server{unlimited()};
    std::thread thread{[this] { server.run(); }};
};

Upstream::Upstream() : impl_(std::make_unique<Impl>()) {}

Upstream::~Upstream() {
    impl_->server.stop();
    impl_->server.stop();
    impl_->thread.join();
}

std::string Upstream::url() const {
    return impl_->server.url();
}
std::uint16_t Upstream::port() const {
    return impl_->server.port();
}

void Upstream::script(const std::string& steps) {
    const RawAnswer answer = RawClient(port()).post("/__script", steps);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
}

Json Upstream::arrivals() {
    return Json::parse(RawClient(port()).get("/__ledger").body)["arrivals"];
}
Json Upstream::last() {
    return Json::parse(RawClient(port()).get("/__last").body);
}

struct Proxy::Impl {
    Impl(const std::string& config, const std::string& upstream) : segment(segment_name()) {
        REQUIRE(::pipe2(log, O_NONBLOCK | O_CLOEXEC) == 0);
        const int listening = listen_on("127.0.0.1", 0, false);
        port = port_of(listening);
        // Not make_unique: a Pulse stays where it is made.
        service.reset(new Service{router::Pulse(io), setup(config, upstream),
                                  AccessLog(LogFormat::json, log[1]), IdSource(1)});
        server = std::make_unique<Server>(io, *service, listening);
        thread = std::thread([this] {
            service->pulse.start();
            server->start();
            io.run();
        });
    }
    ~Impl() {
        io.stop();
        if (thread.joinable()) thread.join();
        server.reset();
        service.reset();
        ::close(log[0]);
        ::close(log[1]);
        shm::Segment::remove(segment);
    }

    std::shared_ptr<Setup> setup(std::string text, const std::string& upstream) {
        const auto replace = [&text](std::string_view what, const std::string& by) {
            for (std::size_t at; (at = text.find(what)) != std::string::npos;)
                text.replace(at, what.size(), by);
        };
        replace("{segment}", segment);
        replace("{upstream}", upstream);
        const auto loaded = router::parse_config(text);
        for (const auto& problem : loaded.problems)
            UNSCOPED_INFO(router::to_string(problem, "config"));
        REQUIRE(loaded.ok());
        auto made = std::make_shared<Setup>(io, loaded.config, router::RouterOptions{"test", 1});
        setups.push_back(made);
        return made;
    }

    /// Runs `task` on the proxy's thread.
    template <class Task>
    auto ask(Task task) {
        std::promise<decltype(task())> answer;
        router::asio::post(io, [&] { answer.set_value(task()); });
        return answer.get_future().get();
    }

    std::string segment;
    int log[2] = {-1, -1};
    router::asio::io_context io{1};
    std::uint16_t port = 0;
    std::vector<std::weak_ptr<Setup>> setups;
    std::unique_ptr<Service> service;
    std::unique_ptr<Server> server;
    std::thread thread;
};

Proxy::Proxy(const std::string& config, const std::string& upstream)
    : impl_(std::make_unique<Impl>(config, upstream)) {}
Proxy::~Proxy() = default;

std::uint16_t Proxy::port() const {
    return impl_->port;
}

std::size_t Proxy::connections() {
    return impl_->ask([this] { return impl_->server->open(); });
}

void Proxy::drain() {
    impl_->ask([this] { return impl_->server->drain(), true; });
}

void Proxy::reload(const std::string& config, const std::string& upstream) {
    impl_->ask([&] { return impl_->service->setup = impl_->setup(config, upstream), true; });
}

std::size_t Proxy::setups() {
    return impl_->ask([this] {
        std::size_t alive = 0;
        for (const auto& setup : impl_->setups) alive += !setup.expired();
        return alive;
    });
}

std::string Proxy::log() {
    std::string text(1u << 16, '\0');
    ssize_t got = -1;
    // A line is added a moment after the end of the answer may have reached the client.
    wait_until([&] {
        impl_->ask([this] { return impl_->service->log.flush(), true; });
        got = ::read(impl_->log[0], text.data(), text.size());
        return got > 0;
    });
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

}  // namespace weir::proxy::test
