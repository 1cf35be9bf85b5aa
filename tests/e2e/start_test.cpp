// How each program starts, refuses to start, and ends.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <string>
#include <vector>

#include "tests/e2e/site.hpp"
#include "tests/support/raw_client.hpp"

using namespace weir::test;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// One deployment, that nobody need listen at.
std::string small_config(const ScratchSegment& segment, const std::string& more = {}) {
    return "model_list: [{model_name: m, litellm_params: {model: openai/m, api_base: http://127.0.0.1:1}}]\n"
           "weir_settings: {segment: " + segment.name() + more + "}\n";
}

constexpr const char* kPrograms[] = {"weir-fake-server", "weir-proxy", "weir-loadtest", "weir-inspect"};

}  // namespace

TEST_CASE("every program tells its options and its version") {
    for (const std::string program : kPrograms) {
        INFO(program);
        const Finished help = run({program, "--help"});
        CHECK(help.status == 0);
        CHECK(has(help.output, "Usage: " + program));
        CHECK(help.errors.empty());
        const Finished version = run({program, "--version"});
        CHECK(version.status == 0);
        CHECK(has(version.output, "."));
        CHECK(std::count(version.output.begin(), version.output.end(), '\n') == 1);
    }
}

TEST_CASE("an option that a program does not know ends it with 2 and is named") {
    for (const std::string program : kPrograms) {
        INFO(program);
        std::vector<std::string> command{program};
        if (program == "weir-proxy") command.insert(command.end(), {"--config", "c.yaml"});
        if (program == "weir-loadtest") command.insert(command.end(), {"proxy", "--url", "http://a"});
        command.emplace_back("--frobnicate");
        const Finished finished = run(command);
        CHECK(finished.status == 2);
        CHECK(has(finished.errors, "--frobnicate"));
    }
}

TEST_CASE("a port that is no port is a usage error") {
    CHECK(run({"weir-fake-server", "--port", "65536"}).status == 2);
    CHECK(run({"weir-fake-server", "--port", "http"}).status == 2);
    CHECK(run({"weir-proxy", "--config", "c.yaml", "--port", "65536"}).status == 2);
}

TEST_CASE("the proxy tells everything that is wrong with its configuration in one run") {
    const ScratchFolder folder;
    const std::string file = folder.write("bad.yaml",
                                          "model_list:\n"
                                          "  - model_name: a\n"
                                          "    litellm_params:\n"
                                          "      model: openai/gpt-4o\n"
                                          "      api_base: http://127.0.0.1:1\n"
                                          "      rpm: many\n"
                                          "  - litellm_params:\n"
                                          "      model: openai/gpt-4o\n"
                                          "      api_base: http://127.0.0.1:1\n"
                                          "weir_settings:\n"
                                          "  window_seconds: short\n"
                                          "  colour: blue\n");
    const Finished finished = run({"weir-proxy", "--config", file, "--port", "0"});
    CHECK(finished.status == 2);
    INFO(finished.errors);
    CHECK(has(finished.errors, file + ":6: error: model_list[0].litellm_params.rpm: "));
    CHECK(has(finished.errors, "found \"many\""));
    CHECK(has(finished.errors, "error: model_list[1]"));
    CHECK(has(finished.errors, "model_name"));
    CHECK(has(finished.errors, file + ":11: error: weir_settings.window_seconds: "));
    CHECK(has(finished.errors, file + ":12: warning: weir_settings.colour"));
    CHECK_FALSE(has(finished.output, "listening"));
}

TEST_CASE("a configuration that is not there or no YAML ends the proxy with 2") {
    const ScratchFolder folder;
    const Finished absent = run({"weir-proxy", "--config", folder.path("none.yaml")});
    CHECK(absent.status == 2);
    CHECK(has(absent.errors, folder.path("none.yaml")));
    const Finished broken = run({"weir-proxy", "--config", folder.write("broken.yaml", "model_list: [\n")});
    CHECK(broken.status == 2);
    CHECK(has(broken.errors, "broken.yaml:"));
    CHECK(run({"weir-proxy"}).status == 2);
}

TEST_CASE("an unknown setting is a warning with its path, and the proxy starts") {
    const ScratchSegment segment;
    const ScratchFolder folder;
    const std::string file = folder.write("odd.yaml", small_config(segment, ", colour: blue"));
    Program proxy({"weir-proxy", "--config", file, "--host", "127.0.0.1", "--port", "0"});
    const std::uint16_t port = proxy.port();
    CHECK(has(proxy.errors(), "warning: weir_settings.colour"));
    CHECK(fetch(port, "GET", "/health/liveliness").status == 200);
    CHECK(fetch(port, "GET", "/health/readiness").status == 200);
    CHECK(proxy.stop() == 0);
}

TEST_CASE("a proxy that asks nobody for a key says so once, and the louder the more can reach it") {
    const ScratchSegment segment;
    const ScratchFolder folder;
    const std::string file = folder.write("config.yaml", small_config(segment));
    const std::string said = "general_settings.master_key: ";
    const auto errors_of = [&](const std::vector<std::string>& options) {
        std::vector<std::string> line = {"weir-proxy", "--config", file, "--port", "0"};
        line.insert(line.end(), options.begin(), options.end());
        Program proxy(line);
        fetch(proxy.port(), "GET", "/health/liveliness");
        CHECK(proxy.stop() == 0);
        return proxy.errors();
    };
    const std::string open = errors_of({"--num_workers", "2"});
    REQUIRE(has(open, said));
    CHECK(open.find(said) == open.rfind(said));
    CHECK_FALSE(has(errors_of({"--host", "127.0.0.1"}), said));
    CHECK_FALSE(has(errors_of({"--host", "localhost"}), said));
    CHECK(has(errors_of({"--host", "127.0.0.1", "--log_level", "info"}), said));
    const Finished checked = run({"weir-proxy", "check", "--config", file});
    CHECK(checked.status == 0);
    CHECK(has(checked.errors, said));
    const Finished json = run({"weir-proxy", "check", "--json", "--config", file});
    CHECK(has(json.output, R"("general_settings.master_key")"));
    const std::string closed =
        folder.write("closed.yaml", small_config(segment, ", keys: [{name: a, key: sk-a}]"));
    CHECK_FALSE(has(run({"weir-proxy", "check", "--config", closed}).errors, said));
}

TEST_CASE("a port that is taken ends the proxy with 3 and is named") {
    const ScratchSegment segment;
    const ScratchFolder folder;
    const Occupied occupied;
    const std::string port = std::to_string(occupied.port());
    const std::string file = folder.write("config.yaml", small_config(segment));
    const Finished finished = run({"weir-proxy", "--config", file, "--host", "127.0.0.1", "--port", port});
    CHECK(finished.status == 3);
    CHECK(has(finished.errors, port));
    CHECK(has(finished.errors, "in use"));
}

TEST_CASE("the fake server takes the next port if its own is taken, and says which it got") {
    const Occupied occupied;
    Program server({"weir-fake-server", "--port", std::to_string(occupied.port())});
    const std::uint16_t port = server.port();
    CHECK(port > occupied.port());
    CHECK(has(server.errors(), "port " + std::to_string(occupied.port()) + " is taken"));
    CHECK(fetch(port, "GET", "/__health").status == 200);
}

TEST_CASE("the fake server ends cleanly on SIGTERM and on SIGINT, also while it is answering") {
    for (const int number : {SIGTERM, SIGINT}) {
        Program server({"weir-fake-server", "--port", "0", "--latency-ms", "300"});
        RawClient client(server.port());
        client.ask("POST", "/chat/completions", R"({"model":"m"})");
        REQUIRE(wait_until([&] { return arrival_count(server.port()) == 1; }));
        server.signal(number);
        CHECK(client.answer().status == 200);
        CHECK(server.wait() == 0);
    }
}

TEST_CASE("the fake server's answers take the shape that its options ask for") {
    Program server({"weir-fake-server", "--port", "0", "--rpm", "0", "--tokens", "7,5", "--error-rate", "0.5",
                    "--seed", "3"});
    Program same({"weir-fake-server", "--port", "0", "--rpm", "0", "--tokens", "7,5", "--error-rate", "0.5",
                  "--seed", "3"});
    const auto statuses = [](Program& asked) {
        RawClient client(asked.port());
        std::vector<unsigned> list;
        for (int i = 0; i < 40; ++i) {
            client.ask("POST", "/v1/chat/completions", R"({"model":"m"})");
            const RawAnswer answer = client.answer();
            list.push_back(answer.status);
            if (answer.status != 200) continue;
            const auto usage = nlohmann::json::parse(answer.body).at("usage");
            CHECK(usage == nlohmann::json{
                               {"prompt_tokens", 7}, {"completion_tokens", 5}, {"total_tokens", 12}});
        }
        return list;
    };
    const auto first = statuses(server);
    CHECK(std::count(first.begin(), first.end(), 200u) > 0);
    CHECK(std::count(first.begin(), first.end(), 500u) > 0);
    CHECK(statuses(same) == first);  // the same seed, the same dice
}

TEST_CASE("the inspect tool says when there is no such segment") {
    const ScratchSegment segment;
    const Finished finished = run({"weir-inspect", "--segment", segment.name()});
    CHECK(finished.status == 3);
    CHECK(has(finished.errors, segment.name()));
    CHECK(finished.output.empty());
}
