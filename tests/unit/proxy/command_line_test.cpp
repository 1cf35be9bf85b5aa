#include "proxy/command_line.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

using namespace weir::proxy;
using namespace std::chrono_literals;

namespace {

using Words = std::vector<std::string>;

CommandLine read(Words words) {
    for (const char* name : {"CONFIG_FILE_PATH", "HOST", "PORT", "NUM_WORKERS", "SSL_CERTFILE_PATH",
                             "SSL_KEYFILE_PATH"}) {
        ::unsetenv(name);
    }
    return read_command_line(std::move(words), "1.2.3");
}

Options good(const Words& words) {
    const CommandLine line = read(words);
    INFO(line.text);
    REQUIRE_FALSE(line.exit_status.has_value());
    return line.options;
}

std::string wrong(const Words& words) {
    const CommandLine line = read(words);
    REQUIRE(line.exit_status == 2);
    return line.text;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the options of LiteLLM have LiteLLM's names and defaults") {
    const Options plain = good({"--config", "c.yaml"});
    CHECK(plain.config == "c.yaml");
    CHECK(plain.host == "0.0.0.0");
    CHECK(plain.port == 4000);
    CHECK(plain.num_workers == 1);
    CHECK(plain.log_level == "warning");
    CHECK_FALSE(plain.drain_seconds.has_value());
    CHECK_FALSE(plain.check);
    const Options all = good({"-c",
                              "c",
                              "--host",
                              "h",
                              "--port",
                              "1",
                              "--num_workers",
                              "2",
                              "--request_timeout",
                              "3",
                              "--keepalive_timeout",
                              "4",
                              "--max_requests_before_restart",
                              "5",
                              "--ssl_certfile_path",
                              "cert",
                              "--ssl_keyfile_path",
                              "key",
                              "--drain_seconds",
                              "0.5",
                              "--access_log",
                              "json",
                              "--debug"});
    CHECK(all.host == "h");
    CHECK(all.port == 1);
    CHECK(all.num_workers == 2);
    CHECK(all.request_timeout_seconds == 3.0);
    CHECK(all.keepalive_timeout_seconds == 4.0);
    CHECK(all.max_requests_before_restart == 5);
    CHECK(all.ssl_certfile_path == "cert");
    CHECK(all.ssl_keyfile_path == "key");
    CHECK(all.drain_seconds == 0.5);
    CHECK(all.access_log == std::string("json"));
    CHECK(all.log_level == "info");
    CHECK(good({"-c", "c", "--detailed_debug"}).log_level == "debug");
}

TEST_CASE("the environment stands in for options that are not given") {
    ::setenv("CONFIG_FILE_PATH", "from-environment", 1);
    ::setenv("PORT", "4123", 1);
    ::setenv("NUM_WORKERS", "3", 1);
    const Options options = read_command_line({"--port", "5"}, "1").options;
    CHECK(options.config == "from-environment");
    CHECK(options.port == 5);
    CHECK(options.num_workers == 3);
    CHECK(read_command_line({"check"}, "1").options.check);
    read({});
}

TEST_CASE("what LiteLLM knows and Weir does not need is a warning") {
    const CommandLine line =
        read({"-c", "c", "--telemetry", "False", "--use_queue", "--temperature", "1"});
    CHECK_FALSE(line.exit_status.has_value());
    REQUIRE(line.warnings.size() == 3);
    for (const char* name : {"--telemetry", "--use_queue", "--temperature"}) {
        bool found = false;
        for (const std::string& warning : line.warnings)
            found |= has(warning, std::string(name) + " has no effect: ");
        CHECK(found);
    }
    CHECK(has(wrong({"-c", "c", "--health"}), "GET /health"));
    CHECK(has(wrong({"-c", "c", "--test"}), "weir-loadtest"));
}

TEST_CASE("mistakes are told and end with 2") {
    CHECK(has(wrong({}), "--config is required"));
    CHECK(has(wrong({"-c", "c", "--frobnicate"}), "--frobnicate"));
    CHECK(has(wrong({"-c", "c", "--port", "65536"}), "--port"));
    CHECK(has(wrong({"-c", "c", "--num_workers", "0"}), "--num_workers"));
    CHECK(has(wrong({"-c", "c", "--access_log", "xml"}), "--access_log"));
    CHECK(has(wrong({"-c", "c", "--ssl_certfile_path", "x"}), "both or not at all"));
    CHECK(has(wrong({"-c", "c", "--ssl_keyfile_path", "x"}), "both or not at all"));
    CHECK(has(wrong({"-c", "c", "--model", "m"}), "exclude"));
    CHECK(has(wrong({"--model", "m"}), "--api_base"));
    CHECK(read({"--version"}).exit_status == 0);
    CHECK(has(read({"-v"}).text, "1.2.3"));
    CHECK(has(read({"--help"}).text, "Usage: weir-proxy"));
}

TEST_CASE("one model needs no configuration") {
    const Options options =
        good({"--model", "openai/\"odd\": name", "--alias", "m", "--api_base", "http://h:1/v1"});
    const auto loaded = load(options);
    REQUIRE(loaded.ok());
    REQUIRE(loaded.config.model_list.size() == 1);
    CHECK(loaded.config.model_list[0].model_name == "m");
    CHECK(loaded.config.model_list[0].model == "\"odd\": name");
    CHECK(loaded.config.model_list[0].api_base == "http://h:1/v1");
    CHECK(config_name(options) == "the command line");
}

TEST_CASE("options go before the configuration, and leave the rest of it alone") {
    Options options = good({"--model", "m", "--api_base", "http://h"});
    CHECK(load(options).config.weir.drain == 30s);
    options.drain_seconds = 2.5;
    options.keepalive_timeout_seconds = 7;
    options.request_timeout_seconds = 9;
    const auto config = load(options).config;
    CHECK(config.weir.drain == 2500ms);
    CHECK(config.weir.clients.idle_timeout == 7s);
    CHECK(config.timeout == weir::shm::Nanos(9s));
    CHECK(config.weir.clients.head_timeout == 15s);
}
