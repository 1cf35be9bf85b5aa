// weir-inspect as a user starts it: beside programs that use the segment, in a pipe and on a terminal.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "shm/health.hpp"
#include "shm/layout.hpp"
#include "shm/segment.hpp"
#include "tests/support/program.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/wait.hpp"

using namespace weir::test;
using namespace weir::shm;
using nlohmann::json;

namespace {

/// A segment in use: one limiter of 10 with 4 used, one of 3 that is full, a gauge, and refusals.
struct Used {
    ScratchSegment scratch;
    Segment segment = Segment::open(options(scratch.name()));
    Participant me = segment.join("a test");
    Limiter roomy = segment.limiter({"key", "alice"}, 10);
    Limiter full = segment.limiter({"key", "bob", Unit::tokens, std::chrono::hours(24)}, 3);
    Admission held;

    Used() {
        charge(roomy, 4);
        charge(full, 3);
        charge(full, 1);
        const Gauge gauge = segment.gauge("deployment", "gpt", 5);
        held = me.admit({{}, {&gauge, 1}}, now());
    }
    static SegmentOptions options(const std::string& name) {
        SegmentOptions options;
        options.name = name;
        options.size_bytes = 1u << 20;
        return options;
    }
    void charge(Limiter limiter, Units units) {
        const Charge charge{limiter, units};
        me.admit({{&charge, 1}, {}}, now()).ticket.close();
    }
    Finished inspect(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"weir-inspect", "--segment", scratch.name()});
        return run(std::move(arguments));
    }
    json inspect_json(const std::string& view) const {
        const Finished finished = inspect({view, "--json"});
        CHECK(finished.status == 0);
        return json::parse(finished.output);
    }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Every line of a table of limiters without its last column, which tells how time passes: RESETS IN.
std::string timeless(const std::string& table) {
    const std::string last_of_rest = "REMAINING";
    const std::size_t at = table.find(last_of_rest);
    REQUIRE(at != std::string::npos);
    std::istringstream lines(table);
    std::string text;
    for (std::string line; std::getline(lines, line);) {
        text += line.substr(0, at + last_of_rest.size()) + '\n';
    }
    return text;
}

/// Empties the limiter behind its own back, as a broken program could.
void forget(WindowRecord& record) {
    // ORDER(epoch): nobody else is at it.
    const std::uint64_t tick = record.state.epoch.load(std::memory_order_relaxed);
    Window<WindowState<Word, StandardGeometry>>::reset(record.state, tick, 10);
}

/// What `command` writes to a terminal; ended by SIGINT, as by Ctrl-C, once `enough` is in it.
std::string on_terminal(std::vector<std::string> command, const std::string& enough) {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(master >= 0);
    REQUIRE(::grantpt(master) == 0);
    REQUIRE(::unlockpt(master) == 0);
    const std::string slave = ::ptsname(master);
    command[0] = programs_folder() + '/' + command[0];
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        const int terminal = ::open(slave.c_str(), O_RDWR);
        for (const int fd : {0, 1, 2}) ::dup2(terminal, fd);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    std::string text;
    char buffer[4096];
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!has(text, enough) && std::chrono::steady_clock::now() < until) {
        pollfd readable{master, POLLIN, 0};
        if (::poll(&readable, 1, 100) <= 0) continue;
        const ssize_t count = ::read(master, buffer, sizeof buffer);
        if (count <= 0) break;
        text.append(buffer, static_cast<std::size_t>(count));
    }
    ::kill(child, SIGINT);
    ::waitpid(child, nullptr, 0);
    ::close(master);
    return text;
}

}  // namespace

TEST_CASE("weir-inspect lists every limiter with what is used, left, and when it resets") {
    const Used used;
    const Finished table = used.inspect({});
    CHECK(table.status == 0);
    CHECK(has(table.output, "alice"));
    CHECK(has(table.output, "1 d"));
    CHECK_FALSE(has(table.output, "\x1b["));  // a pipe gets no colour
    CHECK(timeless(table.output) == timeless(used.inspect({"list"}).output));

    const json limiters = used.inspect_json("list")["limiters"];
    REQUIRE(limiters.size() == 2);
    CHECK(limiters[0]["scope"] == "key");
    CHECK(limiters[0]["name"] == "alice");
    CHECK(limiters[0]["used"] == 4);
    CHECK(limiters[0]["remaining"] == 6);
    CHECK(limiters[0]["resets_in_seconds"] > 50);
    CHECK(limiters[1]["unit"] == "tokens");
    CHECK(limiters[1]["window_seconds"] == 86400);
    CHECK(limiters[1]["remaining"] == 0);
}

TEST_CASE("weir-inspect shows who has joined, what is in flight, and what was decided") {
    const Used used;
    CHECK(used.inspect_json("participants")["participants"][0]["role"] == "a test");
    const json gauge = used.inspect_json("gauges")["gauges"][0];
    CHECK(gauge["in_flight"] == 1);
    CHECK(gauge["max"] == 5);
    const Finished recorder = used.inspect({"recorder", "--last", "1"});
    CHECK(recorder.status == 0);
    CHECK(has(recorder.output, "key:bob tokens"));
    CHECK(has(recorder.output, "refuse"));
    CHECK(has(used.inspect({"counters"}).output, "admitted"));
    CHECK(has(used.inspect({"info"}).output, "1048576 bytes"));
    CHECK(used.inspect({"health"}).status == 0);
}

TEST_CASE("weir-inspect audit ends with 0 while every limit held, and with 1 once one did not") {
    Used used;
    const Finished held = used.inspect({"audit"});
    CHECK(held.status == 0);
    CHECK(has(held.output, "every limit held"));
    // A limiter that has lost its memory admits everything again. The flight recorder has not lost its own.
    forget(*used.roomy.record);
    used.charge(used.roomy, 10);
    const Finished violated = used.inspect({"audit", "--json"});
    CHECK(violated.status == 1);
    const json report = json::parse(violated.output);
    CHECK(report["violated"] == true);
    CHECK(report["limiters"][0]["worst_window"] == 14);
}

TEST_CASE("weir-inspect ends the cooldowns of the deployments that are named, or of none") {
    Used used;
    for (const char* name : {"first", "second", "third"}) {
        set_cooldown(used.segment.health("deployment", name), now() + std::chrono::hours(1));
    }
    const auto cooling = [&] { return used.inspect_json("cooldown")["cooldowns"].size(); };
    CHECK(cooling() == 3);
    const Finished mistyped = used.inspect({"cooldown", "--clear", "first", "--clear", "frist"});
    CHECK(mistyped.status == 3);
    CHECK(has(mistyped.errors, "no deployment 'frist'"));
    CHECK(cooling() == 3);
    const Finished cleared = used.inspect({"cooldown", "--clear", "first", "--clear", "third"});
    CHECK(cleared.status == 0);
    CHECK(has(cleared.output, "'first' is back in service"));
    CHECK(cooldown_until(used.segment.health("deployment", "first")) == Nanos(0));
    CHECK(cooldown_until(used.segment.health("deployment", "second")) > now());
    CHECK(cooling() == 1);
    CHECK(has(used.inspect({"cooldown", "--clear", "first"}).output, "in service already"));
    // It makes neither a segment nor a deployment.
    const ScratchSegment nothing;
    CHECK(run({"weir-inspect", "--segment", nothing.name(), "cooldown", "--clear", "first"}).status == 3);
    CHECK(run({"weir-inspect", "--segment", nothing.name(), "list"}).status == 3);
}

TEST_CASE("weir-inspect removes a segment once, and one in use only by force") {
    const Used used;
    const Finished refused = used.inspect({"remove"});
    CHECK(refused.status == 4);
    CHECK(has(refused.errors, "in use"));
    CHECK(used.inspect({"list"}).status == 0);
    CHECK(used.inspect({"remove", "--force"}).status == 0);
    const Finished again = used.inspect({"remove"});
    CHECK(again.status == 3);
    CHECK(has(again.errors, used.scratch.name()));
}

TEST_CASE("weir-inspect names what it cannot serve, and ends with 2 for usage and 3 for no segment") {
    const ScratchSegment nothing;
    CHECK(run({"weir-inspect", "--segment", nothing.name(), "audit"}).status == 3);
    CHECK(run({"weir-inspect", "--segment", "a/b"}).status == 2);
    CHECK(run({"weir-inspect", "frobnicate"}).status == 2);
    CHECK(run({"weir-inspect", "recorder", "--last", "0"}).status == 2);
}

TEST_CASE("weir-inspect is coloured on a terminal, and --watch shows live what changes") {
    Used used;
    const std::string& name = used.scratch.name();
    const std::string list = on_terminal({"weir-inspect", "--segment", name}, "bob");
    CHECK(has(list, "\x1b[1m"));   // the headings
    CHECK(has(list, "\x1b[31m"));  // bob is at the limit
    Program watching({"weir-inspect", "--segment", name, "--watch"});
    watching.wait_for_output("alice");
    used.charge(used.segment.limiter({"key", "carol"}, 7), 2);
    watching.wait_for_output("carol");
    watching.signal(SIGINT);
    CHECK(watching.wait() == 256 + SIGINT);
    CHECK_FALSE(has(watching.output(), "\x1b["));
}
