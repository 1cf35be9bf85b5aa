// scripts/run_local.sh: the first thing that anybody runs. It must end well, end clearly, and leave
// nothing behind.
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "tests/support/program.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/scratch.hpp"

using namespace weir::test;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string pair_of(const std::vector<std::uint16_t>& ports, std::size_t first) {
    return std::to_string(ports[first]) + ',' + std::to_string(ports[first + 1]);
}

std::vector<std::string> quick(const std::vector<std::uint16_t>& ports) {
    return {source_path("scripts/run_local.sh"), "--quick", "--programs", programs_folder(),
            "--upstream-ports", pair_of(ports, 0), "--proxy-ports", pair_of(ports, 2)};
}

bool is_free(std::uint16_t port) {
    try {
        const RawClient client(port);
        return false;
    } catch (const std::runtime_error&) {
        return true;
    }
}

void check_nothing_left(const std::vector<std::uint16_t>& ports, pid_t script) {
    for (const std::uint16_t port : ports) CHECK(is_free(port));
    CHECK_FALSE(std::filesystem::exists("/dev/shm/weir-local-" + std::to_string(script)));
}

}  // namespace

TEST_CASE("the script explains itself and refuses what it does not know") {
    const std::string script = source_path("scripts/run_local.sh");
    const Finished help = run({script, "--help"});
    CHECK(help.status == 0);
    CHECK(has(help.output, "--quick"));
    CHECK(has(help.output, "--unlimited-upstreams"));
    for (const std::vector<std::string>& wrong :
         {std::vector<std::string>{"--fast"}, {"--proxy-ports", "4000"}, {"--upstream-ports", "1,70000"},
          {"--programs", "/nonexistent"}}) {
        std::vector<std::string> command{script};
        command.insert(command.end(), wrong.begin(), wrong.end());
        const Finished finished = run(command);
        CHECK(finished.status == 2);
        CHECK(has(finished.errors, "run_local: "));
    }
}

TEST_CASE("a port that is taken stops the script before it starts anything") {
    const Occupied occupied;
    auto ports = free_ports(4);
    for (const std::size_t taken : {0u, 3u}) {
        auto with = ports;
        with[taken] = occupied.port();
        const Finished finished = run(quick(with));
        CHECK(finished.status == 3);
        const std::string taken_port = std::to_string(occupied.port());
        CHECK(has(finished.errors, "port " + taken_port + " is taken by another program"));
        CHECK_FALSE(has(finished.output, "Starting"));
    }
}

TEST_CASE("a program that does not start is shown with what it said, and the others end") {
    const ScratchFolder programs;
    for (const std::string name : {"weir-fake-server", "weir-loadtest", "weir-inspect"}) {
        std::filesystem::create_symlink(programs_folder() + '/' + name, programs.path(name));
    }
    const std::string broken = programs.write("weir-proxy", "#!/bin/sh\necho 'no room here' >&2\nexit 3\n");
    std::filesystem::permissions(broken, std::filesystem::perms::owner_all);
    const auto ports = free_ports(4);
    auto command = quick(ports);
    command[3] = programs.path("");
    Program script(command);
    CHECK(script.wait() == 3);
    CHECK(has(script.errors(),
              "weir-proxy on port " + std::to_string(ports[2]) + " did not start:\n  no room here"));
    check_nothing_left(ports, script.pid());
}

TEST_CASE("Ctrl-C, or a SIGTERM to the script alone, ends everything") {
    for (const bool ctrl_c : {true, false}) {
        const auto ports = free_ports(4);
        Program script(quick(ports));
        script.wait_for_output("triggered new batch");
        CHECK_FALSE(is_free(ports[0]));
        CHECK_FALSE(is_free(ports[3]));
        if (ctrl_c) {
            script.signal_group(SIGINT);
        } else {
            script.signal(SIGTERM);
        }
        CHECK(script.wait() == 130);
        CHECK(has(script.errors(), "run_local: interrupted; stopping everything"));
        check_nothing_left(ports, script.pid());
    }
}

TEST_CASE("the quick run holds its limits in both modes and leaves nothing running") {
    const auto ports = free_ports(4);
    auto command = quick(ports);
    command.emplace_back("--unlimited-upstreams");
    Program script(command);
    const int status = script.wait(std::chrono::seconds(90));
    const std::string output = script.output();
    INFO(output << script.errors());
    CHECK(status == 0);
    const auto count = [&](const std::string& text) {
        std::size_t found = 0;
        for (std::size_t at = 0; (at = output.find(text, at)) != std::string::npos; ++at) ++found;
        return found;
    };
    CHECK(count("triggered new batch - ") == 6);
    CHECK(count("window    6 s, the fullest had 200 successes of 200\n") == 2);
    CHECK(count("0 refused there; fullest 6 s: 100 of 100\n") == 4);
    CHECK(count("PASS: every limit held, and no capacity was left unused\n") == 2);
    CHECK(has(output, "fake-openai-endpoint/gpt-3.5-turbo@http://127.0.0.1:" + std::to_string(ports[1])));
    check_nothing_left(ports, script.pid());
}
