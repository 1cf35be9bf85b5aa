#include "proxy/command_line.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

using namespace weir::proxy;
using namespace std::chrono_literals;

namespace {

using Words = std::vector<std::string>;

CommandLine read(Words words) {
    for (const char* name :
         {"CONFIG_FILE_PATH", "HOST", "PORT", "NUM_WORKERS", "SSL_CERTFILE_PATH", "SSL_KEYFILE_PATH",
          "KEEPALIVE_TIMEOUT", "MAX_REQUESTS_BEFORE_RESTART", "MAX_REQUESTS_BEFORE_RESTART_JITTER",
          "LIMIT_CONCURRENCY", "MAX_REQUEST_HEADER_SIZE", "DEBUG", "DETAILED_DEBUG", "LITELLM_LOG"}) {
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
    CHECK(plain.job == Job::serve);
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
                              "--max_requests_before_restart_jitter",
                              "6",
                              "--limit_concurrency",
                              "7",
                              "--max_request_header_size",
                              "8000",
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
    CHECK(all.max_requests_jitter == 6);
    CHECK(all.connections_max == 7u);
    CHECK(all.head_bytes_max == 8000u);
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
    ::setenv("KEEPALIVE_TIMEOUT", "7", 1);
    ::setenv("MAX_REQUESTS_BEFORE_RESTART", "100", 1);
    ::setenv("MAX_REQUESTS_BEFORE_RESTART_JITTER", "10", 1);
    ::setenv("LIMIT_CONCURRENCY", "50", 1);
    ::setenv("MAX_REQUEST_HEADER_SIZE", "9000", 1);
    const Options options = read_command_line({"--port", "5"}, "1").options;
    CHECK(options.config == "from-environment");
    CHECK(options.port == 5);
    CHECK(options.num_workers == 3);
    CHECK(options.keepalive_timeout_seconds == 7.0);
    CHECK(options.max_requests_before_restart == 100);
    CHECK(options.max_requests_jitter == 10);
    CHECK(options.connections_max == 50u);
    CHECK(options.head_bytes_max == 9000u);
    CHECK(read_command_line({"check"}, "1").options.job == Job::check);
    read({});
}

TEST_CASE("the log level may come from LiteLLM's variables, and options go before them") {
    const auto level = [](const char* name, const char* value, const Words& more = {}) {
        read({});  // clears the environment
        ::setenv(name, value, 1);
        Words words = {"-c", "c"};
        words.insert(words.end(), more.begin(), more.end());
        const CommandLine line = read_command_line(words, "1");
        CHECK_FALSE(line.exit_status.has_value());
        read({});
        return line.options.log_level;
    };
    CHECK(level("DEBUG", "True") == "info");
    CHECK(level("DETAILED_DEBUG", "1") == "debug");
    CHECK(level("DEBUG", "False") == "warning");
    CHECK(level("DEBUG", "app:*") == "warning");  // as other programs use it
    CHECK(level("LITELLM_LOG", "DEBUG") == "debug");
    CHECK(level("LITELLM_LOG", "ERROR") == "error");
    CHECK(level("LITELLM_LOG", "loud") == "warning");
    CHECK(level("LITELLM_LOG", "DEBUG", {"--log_level", "error"}) == "error");
}

TEST_CASE("every option of LiteLLM's is known: it works, or a warning says why it does not") {
    const std::string help = read({"--help"}).text;
    // Of version 1.80.11, and those that 1.110.2 has besides.
    for (const std::string name :
         {"--host", "--port", "--num_workers", "--api_base", "--api_version", "--model", "--alias",
          "--add_key", "--headers", "--save", "--debug", "--detailed_debug", "--use_queue",
          "--temperature", "--max_tokens", "--request_timeout", "--drop_params",
          "--add_function_to_prompt", "--config", "--max_budget", "--telemetry", "--log_config",
          "--version", "--health", "--test", "--test_async", "--iam_token_db_auth",
          "--num_requests", "--run_gunicorn", "--run_hypercorn", "--ssl_keyfile_path",
          "--ssl_certfile_path", "--ciphers", "--use_prisma_db_push", "--local",
          "--skip_server_startup", "--keepalive_timeout", "--max_requests_before_restart",
          //
          "--granian_threads", "--setup", "--azure_postgresql_auth", "--run_granian",
          "--validate_config", "--check_migrations_against_existing_data",
          "--max_request_header_size", "--timeout_worker_healthcheck",
          "--max_requests_before_restart_jitter", "--limit_concurrency",
          "--enforce_prisma_migration_check", "--use_v2_migration_resolver",
          "--use_legacy_migration_resolver", "--reload", "--prometheus_metrics_port"}) {
        CAPTURE(name);
        const auto ignored = ignored_options();
        const bool no_effect = std::any_of(ignored.begin(), ignored.end(),
                                           [&](const IgnoredOption& one) { return one.name == name; });
        const bool works = has(help, name + " ") || has(help, name + ",") || has(help, name + "\n");
        CHECK((no_effect || works || name == "--test_async"));
    }
}

TEST_CASE("some options do something else than serve") {
    CHECK(good({"--health"}).job == Job::show_health);
    CHECK(good({"-c", "c", "--health", "--port", "5"}).port == 5);
    const Options test = good({"--test", "--port", "5", "--model", "m"});
    CHECK(test.job == Job::test);
    CHECK(test.test_url.empty());
    CHECK(test.port == 5);
    CHECK(test.model == "m");
    CHECK(good({"--test", "https://h/v"}).test_url == "https://h/v");
    for (const char* name : {"--validate_config", "--skip_server_startup"}) {
        CHECK(good({"-c", "c", name}).job == Job::check);
        CHECK(has(wrong({name}), "--config is required"));
    }
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
    CHECK(has(wrong({"-c", "c", "--test_async"}), "weir-loadtest"));
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
    CHECK(has(wrong({"-c", "c", "--max_request_header_size", "10"}), "--max_request_header_size"));
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
    CHECK(load(good({"--model", "gpt-4o"})).config.model_list.at(0).api_base == "https://api.openai.com/v1");
    CHECK_FALSE(load(good({"--model", "hosted_vllm/m"})).ok());
}

TEST_CASE("options go before the configuration, and leave the rest of it alone") {
    Options options = good({"--model", "m", "--api_base", "http://h"});
    CHECK(load(options).config.weir.drain == 30s);
    options.drain_seconds = 2.5;
    options.keepalive_timeout_seconds = 7;
    options.request_timeout_seconds = 9;
    options.connections_max = 11;
    options.head_bytes_max = 100'000;
    const auto config = load(options).config;
    CHECK(config.weir.drain == 2500ms);
    CHECK(config.weir.clients.idle_timeout == 7s);
    CHECK(config.timeout == weir::shm::Nanos(9s));
    CHECK(config.weir.clients.head_timeout == 15s);
    CHECK(config.weir.clients.max_connections == 11);
    CHECK(config.weir.clients.max_head_bytes == weir::router::kHeadBytesMost);
}
