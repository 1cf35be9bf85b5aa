#include "proxy/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "router/json_text.hpp"

namespace weir::proxy {
namespace {

constexpr int kExitUsage = 2;

/// LiteLLM's options that have no effect here.
struct Ignored {
    const char* name;
    bool takes_value;
    const char* why;
};

constexpr std::array kIgnored = {
    Ignored{"--api_version", true, "give it in the configuration"},
    Ignored{"--headers", true, "give extra_headers in the configuration"},
    Ignored{"--add_key", true, "declare keys in weir_settings.keys"},
    Ignored{"--save", false, "the configuration is not written"},
    Ignored{"--temperature", true, "bodies pass through unchanged"},
    Ignored{"--max_tokens", true, "bodies pass through unchanged"},
    Ignored{"--drop_params", false, "bodies pass through unchanged"},
    Ignored{"--add_function_to_prompt", false, "bodies pass through unchanged"},
    Ignored{"--max_budget", true, "spend and budgets are not tracked"},
    Ignored{"--telemetry", true, "nothing is ever sent home"},
    Ignored{"--log_config", true, "see --log_level and --access_log"},
    Ignored{"--run_gunicorn", false, "there is one server"},
    Ignored{"--run_hypercorn", false, "there is one server"},
    Ignored{"--ciphers", true, "OpenSSL's own choice is used"},
    Ignored{"--iam_token_db_auth", false, "there is no database"},
    Ignored{"--use_prisma_db_push", false, "there is no database"},
    Ignored{"--enforce_prisma_migration_check", false, "there is no database"},
    Ignored{"--use_queue", false, "see weir_settings.queue"},
    Ignored{"--local", false, "it is for developers of LiteLLM"},
    Ignored{"--num_requests", true, "see weir-loadtest"},
};

/// LiteLLM's options that make it do something else than serve: silence would mislead.
struct Elsewhere {
    const char* name;
    const char* instead;
};

constexpr std::array kElsewhere = {
    Elsewhere{"--health", "ask a running proxy for GET /health"},
    Elsewhere{"--test", "use weir-loadtest proxy --url URL"},
    Elsewhere{"--test_async", "use weir-loadtest proxy --url URL"},
    Elsewhere{"--skip_server_startup", "use weir-proxy check --config FILE"},
};

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
                   "a worker that has served so many is replaced");
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
        ->check(CLI::Range(0.001, 86400.0));
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

void define_ignored(CLI::App& app, std::vector<std::string>& warnings) {
    for (const Ignored& ignored : kIgnored) {
        const auto warn = [&warnings, &ignored] {
            warnings.push_back(fmt::format("{} has no effect: {}", ignored.name, ignored.why));
        };
        CLI::Option* option = ignored.takes_value
                                  ? app.add_option_function<std::string>(
                                        ignored.name, [warn](const std::string&) { warn(); })
                                  : app.add_flag_callback(ignored.name, warn);
        option->group("");  // not in the help
    }
    for (const Elsewhere& elsewhere : kElsewhere) {
        app.add_flag_callback(elsewhere.name,
                              [&elsewhere] {
                                  throw CLI::ValidationError(
                                      elsewhere.name,
                                      fmt::format("not here: {}", elsewhere.instead));
                              })
            ->group("");
    }
}

/// What no single option can tell is wrong; empty if nothing is.
std::string contradiction(const Options& options) {
    if (options.config.empty() && options.model.empty()) return "--config is required";
    if (!options.config.empty() && !options.model.empty())
        return "--config and --model exclude each other";
    if (!options.model.empty() && options.api_base.empty()) return "--model needs --api_base";
    if (options.ssl_certfile_path.empty() != options.ssl_keyfile_path.empty()) {
        return "--ssl_certfile_path and --ssl_keyfile_path are given both or not at all";
    }
    return {};
}

}  // namespace

CommandLine read_command_line(std::vector<std::string> arguments, const std::string& version) {
    CommandLine line;
    Options& options = line.options;
    CLI::App app(
        "An OpenAI-compatible proxy that reads a LiteLLM config.yaml and keeps its limits exactly.",
        "weir-proxy");
    app.set_version_flag("--version,-v", version);
    define_serving(app, options);
    define_settings(app, options);
    define_ignored(app, line.warnings);
    CLI::App* check = app.add_subcommand(
        "check", "Reads a configuration, says what is wrong, and shows its limits");
    check->add_option("-c,--config", options.config, "LiteLLM config.yaml")
        ->envname("CONFIG_FILE_PATH");
    check->add_flag("--json", options.json, "as JSON");
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    try {
        app.parse(arguments);
        options.check = check->parsed();
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
    return fmt::format(
        "model_list: [{{model_name: {}, litellm_params: {{model: {}, api_base: {}}}}}]\n",
        json_string(options.alias.empty() ? options.model : options.alias),
        json_string(options.model), json_string(options.api_base));
}

}  // namespace weir::proxy
