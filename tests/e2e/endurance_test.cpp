// What the proxy must bear: workers that die at once, clients that do not read, sockets it did not ask for.
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/e2e/house.hpp"
#include "tests/support/raw_client.hpp"

using namespace weir::test;
using Clock = std::chrono::steady_clock;

namespace {

/// What `pid` has written to its memory and shares with nobody, in KiB.
std::size_t private_kib(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
    std::size_t sum = 0;
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string name;
        std::size_t kib = 0;
        words >> name >> kib;
        // Not the clean pages: those of the program are private only while no other process runs it.
        if (name == "Private_Dirty:") sum += kib;
    }
    return sum;
}

/// For AddressSanitizer, which would keep back for a while what the proxy frees, as if the proxy kept it.
/// Nobody else reads it.
Program::Options without_quarantine() {
    const char* const given = std::getenv("ASAN_OPTIONS");
    const std::string others = given == nullptr ? "" : std::string(given) + ':';
    return {{"ASAN_OPTIONS=" + others + "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"}};
}

std::string end_of_last_arrival(std::uint16_t upstream) {
    const auto ledger = nlohmann::json::parse(fetch(upstream, "GET", "/__ledger").body);
    return ledger["arrivals"].empty() ? "" : ledger["arrivals"].back()["end"];
}

}  // namespace

TEST_CASE("a worker that keeps dying young is restarted more and more slowly, and the other one serves") {
    const House house;
    Program proxy = house.start({"--num_workers", "2"});
    const std::uint16_t port = proxy.port();
    auto workers = children_of(proxy.pid());
    REQUIRE(workers.size() == 2);
    const pid_t other = workers[1];
    pid_t victim = workers[0];
    for (const int pause_ms : {100, 200, 400, 800}) {
        CAPTURE(pause_ms);
        const auto killed = Clock::now();
        ::kill(victim, SIGKILL);
        const std::string said = "restarting it in " + std::to_string(pause_ms) + " ms";
        REQUIRE(wait_until([&] { return has(proxy.errors(), said); }));
        // Connections that are dealt to the dead one wait for its successor: ask until one is not.
        REQUIRE(wait_until([&] {
            workers = children_of(proxy.pid());
            return workers.size() == 2;
        }));
        CHECK(Clock::now() - killed >= std::chrono::milliseconds(pause_ms));
        CHECK(std::count(workers.begin(), workers.end(), other) == 1);
        victim = workers[0] == other ? workers[1] : workers[0];
    }
    for (int i = 0; i < 8; ++i) CHECK(ask(port) == 200);
    CHECK(proxy.stop() == 0);
}

TEST_CASE("an answer that nobody reads is held back at its upstream and not in the proxy's memory") {
    const House house;
    const bool stream = GENERATE(false, true);
    const std::string answer = "{\"data\":\"" + std::string(48u << 20, 'x') + "\"}";
    Program proxy = house.start({}, without_quarantine());
    const std::uint16_t port = proxy.port();
    CHECK(ask(port) == 200);
    nlohmann::json step = {{"body", answer}};
    if (stream) step["headers"] = {{"content-type", "text/event-stream"}};
    const std::string script = nlohmann::json::array({step}).dump();
    REQUIRE(fetch(house.upstream_port, "POST", "/__script", script).status == 200);
    const std::size_t before = private_kib(proxy.pid());
    REQUIRE(before > 1000);
    RawClient slow(port, 64 << 10);
    slow.ask("POST", "/v1/chat/completions", kBody, kKey);
    std::size_t most = 0;
    CHECK(has(slow.read_until("\r\n\r\n"), std::to_string(answer.size())));
    std::size_t got = 0;
    const auto look = [&] {
        most = std::max(most, private_kib(proxy.pid()));
        CHECK(end_of_last_arrival(house.upstream_port) == "running");
    };
    for (int i = 0; i < 20; ++i) {
        got += slow.read(200'000).size();
        look();
    }
    CHECK(got == 20 * 200'000);
    CHECK(most < before + 4096);
    // What was held back comes when it is read for.
    CHECK(slow.read(answer.size() - got).size() == answer.size() - got);
    CHECK(private_kib(proxy.pid()) < before + 4096);
    CHECK(ask(port) == 200);
    CHECK(proxy.stop() == 0);
}

TEST_CASE("more sockets than one that were opened beforehand are refused, with their number") {
    const House house;
    const std::string script =
        "import os, socket, sys\n"
        "for place in (3, 4):\n"
        "    s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(64)\n"
        "    os.dup2(s.detach(), place); os.set_inheritable(place, True)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '2'\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n";
    const Finished finished = run({"/usr/bin/python3", "-c", script, programs_folder() + "/weir-proxy",
                                   "--config", house.config(), "--port", "1"});
    CHECK(finished.status == 3);
    CHECK(has(finished.errors, "2 sockets were handed down, expected one"));
    CHECK_FALSE(has(finished.output, "listening"));
}
