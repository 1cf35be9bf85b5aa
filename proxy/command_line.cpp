#include "proxy/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <string_view>

#include "router/fields.hpp"
#include "router/json_text.hpp"

namespace weir::proxy {
namespace {

constexpr int kExitUsage = 2;

constexpr const char* kNoDatabase = "there is no database";
constexpr const char* kOneServer = "there is one server";
constexpr const char* kUnchanged = "bodies pass through unchanged";

constexpr auto kIgnored = std::to_array<IgnoredOption>({
    {"--api_version", true, "give it in the configuration"},
    {"--headers", true, "give extra_headers in the configuration"},
    {"--add_key", true, "declare keys in weir_settings.keys"},
    {"--save", false, "the configuration is not written"},
    {"--setup", false, "write a configuration as docs/config.md has it"},
    {"--temperature", true, kUnchanged},
    {"--max_tokens", true, kUnchanged},
    {"--drop_params", false, kUnchanged},
    {"--add_function_to_prompt", false, kUnchanged},
    {"--max_budget", true, "spend and budgets are not tracked"},
    {"--telemetry", true, "nothing is ever sent home"},
    {"--log_config", true, "see --log_level and --access_log"},
    {"--run_gunicorn", false, kOneServer},
    {"--run_hypercorn", false, kOneServer},
    {"--run_granian", false, kOneServer},
    {"--granian_threads", true, kOneServer},
    {"--timeout_worker_healthcheck", true, "a worker that dies is replaced at once"},
    {"--reload", false, "send SIGHUP after a change of the configuration"},
    {"--prometheus_metrics_port", true, "any worker's /metrics has the sums over all of them"},
    {"--ciphers", true, "OpenSSL's own choice is used"},
    {"--iam_token_db_auth", false, kNoDatabase},
    {"--azure_postgresql_auth", false, kNoDatabase},
    {"--use_prisma_db_push", false, kNoDatabase},
    {"--enforce_prisma_migration_check", false, kNoDatabase},
    {"--check_migrations_against_existing_data", false, kNoDatabase},
    {"--use_v2_migration_resolver", false, kNoDatabase},
    {"--use_legacy_migration_resolver", false, kNoDatabase},
    {"--use_queue", false, "see weir_settings.queue"},
    {"--local", false, "it is for developers of LiteLLM"},
    {"--num_requests", true, "see weir-loadtest"},
});

void define_serving(CLI::App& app, Options& options) {
    app.add_option("-c,--config", options.config, "LiteLLM config.yaml")
        ->envname("CONFIG_FILE_PATH");
    app.add_option("--host", options.host, "address to listen on")
        ->capture_default_str()
        ->envname("HOST");
    app.add_option("--port", options.port, "port to listen on, 0 for any free one")
        ->capture_default_str()
        ->envname("PORT");
    app.add_option("--num_workers", options.num_workers, "processes that serve")
        ->capture_default_str()
        ->envname("NUM_WORKERS")
        ->check(CLI::Range(1, 512));
    app.add_option("--max_requests_before_restart", options.max_requests_before_restart,
                   "a worker that has served so many is replaced")
        ->envname("MAX_REQUESTS_BEFORE_RESTART");
    app.add_option("--max_requests_before_restart_jitter", options.max_requests_jitter,
                   "up to so many more, by chance, so that not all are replaced together")
        ->envname("MAX_REQUESTS_BEFORE_RESTART_JITTER");
    app.add_option("--limit_concurrency", options.connections_max,
                   "connections of clients to one worker; goes before the configuration")
        ->check(CLI::Range(1, 1'000'000))
        ->envname("LIMIT_CONCURRENCY");
    app.add_option("--max_request_header_size", options.head_bytes_max,
                   "bytes of a request's head; goes before the configuration")
        ->check(CLI::Range(1024u, std::numeric_limits<std::uint32_t>::max()))
        ->envname("MAX_REQUEST_HEADER_SIZE");
    app.add_option("--ssl_certfile_path", options.ssl_certfile_path, "certificates for TLS, PEM")
        ->envname("SSL_CERTFILE_PATH");
    app.add_option("--ssl_keyfile_path", options.ssl_keyfile_path, "their private key, PEM")
        ->envname("SSL_KEYFILE_PATH");
    app.add_option("-m,--model", options.model, "serve this one model, without a configuration");
    app.add_option("--alias", options.alias, "the name that clients know it by");
    app.add_option("--api_base", options.api_base, "where it is served");
}

void define_settings(CLI::App& app, Options& options) {
    app.add_option("--request_timeout", options.request_timeout_seconds,
                   "seconds for an upstream; goes before the configuration")
        ->check(CLI::Range(0.001, 604800.0));
    app.add_option("--keepalive_timeout", options.keepalive_timeout_seconds,
                   "seconds for an idle connection; goes before the configuration")
        ->check(CLI::Range(0.001, 86400.0))
        ->envname("KEEPALIVE_TIMEOUT");
    app.add_option("--drain_seconds", options.drain_seconds,
                   "time for requests under way when told to end; goes before the configuration")
        ->check(CLI::Range(0.0, 86400.0));
    app.add_option("--access_log", options.access_log,
                   "a line for each request on standard output: text, json or off")
        ->check(CLI::IsMember({"text", "json", "off"}));
    app.add_option("--log_level", options.log_level, "error, warning, info or debug")
        ->capture_default_str()
        ->check(CLI::IsMember({"error", "warning", "info", "debug"}));
    app.add_flag_callback(
        "--debug", [&options] { options.log_level = "info"; }, "the same as --log_level info");
    app.add_flag_callback(
        "--detailed_debug", [&options] { options.log_level = "debug"; },
        "the same as --log_level debug");
}

/// What makes it do something else than serve.
void define_jobs(CLI::App& app, Options& options) {
    const auto job = [&app, &options](const char* name, Job what, const char* help) {
        app.add_flag_callback(name, [&options, what] { options.job = what; }, help);
    };
    job("--validate_config,--skip_server_startup", Job::check, "the same as check");
    job("--health", Job::show_health, "shows /health of the proxy that runs at --host and --port");
    app.add_option_function<std::string>(
           "--test",
           [&options](const std::string& url) {
               options.job = Job::test;
               options.test_url = url;
           },
           "asks the proxy that runs at --host and --port, or at this URL, for completions of --model")
        ->expected(0, 1)
        ->type_name("[URL]");
    CLI::App* check = app.add_subcommand(
        "check", "Reads a configuration, says what is wrong, and shows its limits and its Redis");
    check->add_option("-c,--config", options.config, "LiteLLM config.yaml")->envname("CONFIG_FILE_PATH");
    check->add_flag("--json", options.json, "as JSON");
    check->callback([&options] { options.job = Job::check; });
}

void define_ignored(CLI::App& app, std::vector<std::string>& warnings) {
    for (const IgnoredOption& ignored : kIgnored) {
        const auto warn = [&warnings, &ignored] {
            warnings.push_back(fmt::format("{} has no effect: {}", ignored.name, ignored.why));
        };
        CLI::Option* option = ignored.takes_value
                                  ? app.add_option_function<std::string>(
                                        ignored.name, [warn](const std::string&) { warn(); })
                                  : app.add_flag_callback(ignored.name, warn);
        option->group("");  // not in the help
    }
    // Silence would mislead: whoever says that expects a load test and no server.
    const auto elsewhere = [] {
        throw CLI::ValidationError("--test_async", "not here: use weir-loadtest proxy --url URL");
    };
    app.add_flag_callback("--test_async", elsewhere)->group("");
}

/// Whether the environment says yes. DEBUG is a name that other programs use for other things.
bool said_yes(const char* variable) {
    const char* const value = std::getenv(variable);
    return value && (router::same_name(value, "true") || router::same_name(value, "yes") ||
                     router::same_name(value, "on") || std::string_view(value) == "1");
}

/// LiteLLM's variables for the log level; options go before them.
std::string log_level_of_environment() {
    if (said_yes("DETAILED_DEBUG")) return "debug";
    if (said_yes("DEBUG")) return "info";
    const char* const level = std::getenv("LITELLM_LOG");
    for (const char* known : {"error", "warning", "info", "debug"}) {
        if (level && router::same_name(level, known)) return known;
    }
    return Options().log_level;
}

/// What no single option can tell is wrong; empty if nothing is.
std::string contradiction(const Options& options) {
    if (options.job == Job::show_health || options.job == Job::test) return {};
    if (options.config.empty() && options.model.empty()) return "--config is required";
    if (!options.config.empty() && !options.model.empty())
        return "--config and --model exclude each other";
    if (options.ssl_certfile_path.empty() != options.ssl_keyfile_path.empty()) {
        return "--ssl_certfile_path and --ssl_keyfile_path are given both or not at all";
    }
    return {};
}

}  // namespace

std::span<const IgnoredOption> ignored_options() noexcept { return kIgnored; }

CommandLine read_command_line(std::vector<std::string> arguments, const std::string& version) {
    CommandLine line;
    Options& options = line.options;
    options.log_level = log_level_of_environment();
    CLI::App app(
        "An OpenAI-compatible proxy that reads a LiteLLM config.yaml and keeps its limits exactly.",
        "weir-proxy");
    app.set_version_flag("--version,-v", version);
    define_serving(app, options);
    define_settings(app, options);
    define_jobs(app, options);
    define_ignored(app, line.warnings);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    try {
        app.parse(arguments);
        if (const std::string wrong = contradiction(options); !wrong.empty()) {
            throw CLI::ValidationError(wrong, CLI::ExitCodes::ValidationError);
        }
    } catch (const CLI::ParseError& error) {
        std::ostringstream out;
        std::ostringstream errors;
        line.exit_status = app.exit(error, out, errors) == 0 ? 0 : kExitUsage;
        line.text = out.str() + errors.str();
    }
    return line;
}

std::string quick_config(const Options& options) {
    using router::json_string;  // JSON's texts are YAML's, too
    std::string base;
    if (!options.api_base.empty()) base = fmt::format(", api_base: {}", json_string(options.api_base));
    return fmt::format("model_list: [{{model_name: {}, litellm_params: {{model: {}{}}}}}]\n",
                       json_string(options.alias.empty() ? options.model : options.alias),
                       json_string(options.model), base);
}

}  // namespace weir::proxy
