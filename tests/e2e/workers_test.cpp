// Several workers under their supervisor: replaced, reloaded, drained, told about by systemd's
// words.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "tests/e2e/house.hpp"
#include "tests/support/raw_client.hpp"

using namespace weir::test;
namespace fs = std::filesystem;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

/// As ps names it: 'R' runs, 'S' sleeps, 'T' is stopped, 'Z' has ended; '-' if there is no such process.
char state_of(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    const std::size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.size() > name_end + 2 ? text[name_end + 2] : '-';
}

bool is_alive(pid_t pid) {
    const char state = state_of(pid);
    return state != '-' && state != 'Z';
}

std::size_t sockets_of(pid_t pid) {
    std::size_t count = 0;
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone)) {
        count += has(fs::read_symlink(entry.path(), gone).string(), "socket:");
    }
    return count;
}

/// A socket such as systemd listens at for what a service says.
class Manager {
 public:
    explicit Manager(const std::string& path)
        : path_(path), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        // NOLINTNEXTLINE: the socket interface asks for this cast.
        REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        const timeval patience{30, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    ~Manager() { ::close(socket_); }
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;

    std::string variable() const { return "NOTIFY_SOCKET=" + path_; }
    std::string heard() const {
        std::array<char, 512> buffer{};
        const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
        return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
    }

 private:
    std::string path_;
    int socket_;
};

}  // namespace

TEST_CASE("connections are spread over all workers") {
    const House house;
    Program proxy = house.start({"--num_workers", "3"});
    const std::uint16_t port = proxy.port();
    const auto workers = children_of(proxy.pid());
    REQUIRE(workers.size() == 3);
    std::deque<RawClient> clients;
    for (int i = 0; i < 90; ++i) {
        clients.emplace_back(port);
        clients.back().ask("GET", "/health/liveliness");
        CHECK(clients.back().answer().status == 200);
    }
    // 30 each on average; fewer than 10 would happen less than once in 10^6 runs.
    for (const pid_t worker : workers) CHECK(sockets_of(worker) >= 10);
    clients.clear();
    CHECK(proxy.stop() == 0);
    for (const pid_t worker : workers) CHECK_FALSE(is_alive(worker));
}

TEST_CASE(
    "a worker that is killed under load costs only the requests that it carried, and is replaced") {
    const House house(20);
    Program proxy = house.start({"--num_workers", "2"});
    const std::uint16_t port = proxy.port();
    const auto before = children_of(proxy.pid());
    REQUIRE(before.size() == 2);
    constexpr int kClients = 8;
    struct Record {
        int good = 0;
        int lost = 0;
        int other = 0;
    };
    std::array<Record, kClients> records{};
    std::vector<std::thread> threads;
    for (Record& record : records) {
        threads.emplace_back([&record, port] {
            // A client keeps its connection, and makes another when that is lost.
            std::unique_ptr<RawClient> client;
            for (int i = 0; i < 40; ++i) {
                if (!client) client = std::make_unique<RawClient>(port);
                const RawAnswer answer = client->post("/v1/chat/completions", kBody, kKey);
                if (answer.whole) {
                    answer.status == 200 ? ++record.good : ++record.other;
                } else {
                    ++record.lost;
                    client.reset();
                }
            }
        });
    }
    const bool under_load = wait_until([&] {
        const auto ledger =
            nlohmann::json::parse(fetch(house.upstream_port, "GET", "/__ledger?summary=1").body);
        return ledger["summary"]["arrivals"] >= 40;
    });
    ::kill(before[0], SIGKILL);
    for (std::thread& thread : threads) thread.join();
    CHECK(under_load);
    int lost = 0;
    for (const Record& record : records) {
        CHECK(record.other == 0);
        CHECK(record.lost <= 1);
        CHECK(record.good + record.lost == 40);
        lost += record.lost;
    }
    CHECK(lost <= kClients);
    CHECK(has(proxy.errors(), "worker 0 was killed by signal 9"));
    REQUIRE(wait_until([&] { return children_of(proxy.pid()).size() == 2; }));
    const auto after = children_of(proxy.pid());
    CHECK(std::find(after.begin(), after.end(), before[1]) != after.end());
    CHECK(std::find(after.begin(), after.end(), before[0]) == after.end());
    for (int i = 0; i < 8; ++i) CHECK(ask(port) == 200);
    CHECK(proxy.stop() == 0);
}

TEST_CASE("connections that a killed worker had not accepted yet are served by its successor") {
    const House house;
    Program proxy = house.start({"--num_workers", "2"});
    const std::uint16_t port = proxy.port();
    const auto before = children_of(proxy.pid());
    REQUIRE(before.size() == 2);
    CHECK(ask(port) == 200);
    for (const pid_t worker : before) ::kill(worker, SIGSTOP);
    for (const pid_t worker : before) REQUIRE(wait_until([&] { return state_of(worker) == 'T'; }));
    // From here on the kernel completes connections, and nobody accepts them.
    std::deque<RawClient> clients;
    for (int i = 0; i < 12; ++i) {
        clients.emplace_back(port);
        clients.back().ask("POST", "/v1/chat/completions", kBody, kKey);
    }
    for (const pid_t worker : before) ::kill(worker, SIGKILL);
    for (RawClient& client : clients) CHECK(client.answer().status == 200);
    for (const pid_t worker : children_of(proxy.pid())) {
        CHECK(std::find(before.begin(), before.end(), worker) == before.end());
    }
    clients.clear();
    CHECK(proxy.stop() == 0);
}

TEST_CASE(
    "SIGHUP is obeyed by every worker, without losing a connection, and a bad configuration "
    "changes nothing") {
    const House house;
    Program proxy = house.start({"--num_workers", "2"});
    const std::uint16_t port = proxy.port();
    std::deque<RawClient> clients;
    for (int i = 0; i < 12; ++i) clients.emplace_back(port);
    const auto all_say = [&](unsigned status) {
        return std::all_of(clients.begin(), clients.end(), [&](RawClient& client) {
            client.ask("POST", "/v1/chat/completions", kBody, kKey);
            return client.answer().status == status;
        });
    };
    CHECK(all_say(200));
    house.break_config();
    proxy.signal(SIGHUP);
    CHECK(wait_until([&] { return has(proxy.errors(), "the old one stays"); }));
    CHECK(has(proxy.errors(), "config.yaml:"));
    CHECK(all_say(200));
    house.configure("other");
    proxy.signal(SIGHUP);
    CHECK(wait_until([&] { return all_say(400); }));
    CHECK(children_of(proxy.pid()).size() == 2);
    clients.clear();
    CHECK(proxy.stop() == 0);
}

TEST_CASE("who was idle during a reload may take its time over the next request") {
    const House house(300);
    Program proxy = house.start({"--num_workers", "2"});
    RawClient client(proxy.port());
    const std::string request = "GET /health/liveliness HTTP/1.1\r\nhost: weir\r\n\r\n";
    client.send(request);
    CHECK(client.answer().status == 200);
    house.configure("m", ", max_body_bytes: 1000000");
    proxy.signal(SIGHUP);
    CHECK(wait_until([&] { return count(proxy.errors(), "configuration reloaded") == 2; }));
    const std::size_t half = request.size() / 2;
    client.send(request.substr(0, half));
    // Takes longer than the proxy needs to see that a deadline has passed.
    CHECK(ask(proxy.port()) == 200);
    client.send(request.substr(half));
    CHECK(client.answer().status == 200);
    client.leave();
    CHECK(proxy.stop() == 0);
}

TEST_CASE("SIGTERM lets running answers finish, a second one does not") {
    const House house(400);
    const bool twice = GENERATE(false, true);
    Program proxy = house.start({"--num_workers", "2"});
    RawClient client(proxy.port());
    client.ask("POST", "/v1/chat/completions", kBody, kKey);
    REQUIRE(wait_until([&] {
        return has(fetch(house.upstream_port, "GET", "/__ledger?summary=1").body, "\"arrivals\":1");
    }));
    proxy.signal(SIGTERM);
    if (!twice) {
        CHECK(client.answer().status == 200);
        CHECK(client.ended());
    } else {
        // Once the port is closed the first signal has arrived.
        wait_until([&] { return ask(proxy.port()) == 0; });
        proxy.signal(SIGTERM);
    }
    CHECK(proxy.wait() == 0);
}

TEST_CASE("answers that take too long are not waited for for ever") {
    const House house(60'000);
    Program proxy = house.start({"--num_workers", "2", "--drain_seconds", "0.1"});
    RawClient client(proxy.port());
    client.ask("POST", "/v1/chat/completions", kBody, kKey);
    CHECK(proxy.stop() == 0);
}

TEST_CASE("when the supervisor is killed its workers end") {
    const House house;
    Program proxy = house.start({"--num_workers", "2"});
    const std::uint16_t port = proxy.port();
    CHECK(ask(port) == 200);
    const auto workers = children_of(proxy.pid());
    REQUIRE(workers.size() == 2);
    ::kill(proxy.pid(), SIGKILL);
    for (const pid_t worker : workers) CHECK(wait_until([&] { return !is_alive(worker); }));
    CHECK(ask(port) == 0);
}

TEST_CASE("a worker is replaced when it has served as many requests as it may") {
    const House house;
    Program proxy = house.start({"--max_requests_before_restart", "5"});
    const std::uint16_t port = proxy.port();
    const auto before = children_of(proxy.pid());
    std::set<pid_t> seen(before.begin(), before.end());
    CHECK(wait_until([&] {
        CHECK(ask(port) != 429);
        for (const pid_t pid : children_of(proxy.pid())) seen.insert(pid);
        return seen.size() >= 3;
    }));
    CHECK(proxy.stop() == 0);
}

TEST_CASE("a service manager hears when it is ready, reloads and stops") {
    const House house;
    const std::string workers = GENERATE("1", "2");
    const Manager manager(house.folder().path("notify"));
    Program proxy = house.start({"--num_workers", workers}, {{manager.variable()}});
    CHECK(manager.heard() == "READY=1");
    CHECK(ask(proxy.port()) == 200);
    proxy.signal(SIGHUP);
    CHECK(manager.heard().rfind("RELOADING=1\nMONOTONIC_USEC=", 0) == 0);
    std::string next = manager.heard();
    while (next.rfind("RELOADING=1", 0) == 0) next = manager.heard();  // each worker says so, too
    CHECK(next == "READY=1");
    proxy.signal(SIGTERM);
    while (next != "STOPPING=1" && !next.empty()) next = manager.heard();
    CHECK(next == "STOPPING=1");
    CHECK(proxy.wait() == 0);
}

TEST_CASE("a socket that was opened beforehand is served, by one worker or several") {
    const House house;
    const std::string workers = GENERATE("1", "2");
    const std::string script =
        "import os, socket, sys\n"
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(64)\n"
        "os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1'\n"
        "print('bound', s.getsockname()[1], flush=True)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n";
    Program proxy({"/usr/bin/python3", "-c", script, programs_folder() + "/weir-proxy", "--config",
                   house.config(), "--port", "1", "--num_workers", workers});
    const std::uint16_t port = proxy.port();
    CHECK(has(proxy.output(), "bound " + std::to_string(port) + "\n"));
    for (int i = 0; i < 4; ++i) CHECK(ask(port) == 200);
    CHECK(proxy.stop() == 0);
}

TEST_CASE("log levels change while it runs, and no key and no prompt is ever logged") {
    const House house;
    Program proxy = house.start({"--num_workers", "2", "--access_log", "text"});
    const std::uint16_t port = proxy.port();
    // Signals of one kind do not queue: each is awaited, in the supervisor and in both workers.
    proxy.signal(SIGUSR1);
    CHECK(wait_until([&] { return count(proxy.errors(), "log level info") == 3; }));
    proxy.signal(SIGUSR1);
    CHECK(wait_until([&] {
        ask(port, R"({"model":"m","messages":[{"role":"user","content":"my-prompt"}]})");
        return has(proxy.errors(), "/v1/chat/completions");
    }));
    fetch(port, "POST", "/v1/chat/completions", kBody, "authorization: Bearer sk-wrong\r\n");
    proxy.signal(SIGUSR2);
    CHECK(wait_until([&] { return has(proxy.output(), " 401 "); }));
    CHECK(proxy.stop() == 0);
    const std::string all = proxy.output() + proxy.errors();
    CHECK(has(all, "log level debug"));
    CHECK_FALSE(has(all, "sk-"));
    CHECK_FALSE(has(all, "my-prompt"));
}

TEST_CASE("check shows the limits of a configuration, or what is wrong with it") {
    const House house;
    const Finished table = run({"weir-proxy", "check", "--config", house.config()});
    CHECK(table.status == 0);
    CHECK(has(table.output, "SCOPE"));
    CHECK(has(table.output, "100000"));
    CHECK(has(table.output, "no Redis"));
    const Finished json = run({"weir-proxy", "check", "--json", "--config", house.config()});
    CHECK(nlohmann::json::parse(json.output)["limits"][0]["limit"] == 100000);
    house.break_config();
    const Finished bad = run({"weir-proxy", "check", "--config", house.config()});
    CHECK(bad.status == 2);
    CHECK(has(bad.errors, "config.yaml"));
    CHECK(run({"weir-proxy", "check", "--json", "--config", house.config()}).status == 2);
}

TEST_CASE("a proxy that runs can be asked for its health and for a completion by the same program") {
    const House house;
    Program proxy = house.start({});
    const std::string port = std::to_string(proxy.port());
    const Finished health = run({"weir-proxy", "--config", house.config(), "--health", "--port", port});
    CHECK(health.status == 0);
    CHECK(nlohmann::json::parse(health.output)["unhealthy_count"] == 0);
    const Finished test = run({"weir-proxy", "--config", house.config(), "--test", "--port", port});
    CHECK(test.status == 0);
    CHECK(has(test.output, "chat.completion"));
    CHECK(has(test.output, "[DONE]"));
    const Finished url = run({"weir-proxy", "--test", "http://127.0.0.1:" + port, "--model", "nope"});
    CHECK(url.status == 1);
    CHECK(run({"weir-proxy", "--test", "nonsense"}).status == 2);
    CHECK(proxy.stop() == 0);
    CHECK(run({"weir-proxy", "--health", "--port", port}).status == 3);
    const Finished valid = run({"weir-proxy", "--config", house.config(), "--validate_config"});
    CHECK(valid.status == 0);
    CHECK(has(valid.output, "SCOPE"));
}
