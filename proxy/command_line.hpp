// The command line of weir-proxy: LiteLLM's options under LiteLLM's names, and a few of its own.
//
// Thread safety: pure, apart from the environment.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "proxy/options.hpp"

namespace weir::proxy {

/// What became of the arguments: options to go on with, or a text to print and a status to end with.
struct CommandLine {
    Options options;
    std::vector<std::string> warnings;  ///< options of LiteLLM's that have no effect here, and why
    std::optional<int> exit_status;     ///< 0 after --help and --version, 2 after a mistake
    std::string text;                   ///< for standard output if exit_status is 0, or else for errors
};

/// `arguments` without the program's name.
CommandLine read_command_line(std::vector<std::string> arguments, const std::string& version);

/// An option of LiteLLM's that has no effect here, and why.
struct IgnoredOption {
    const char* name;
    bool takes_value;
    const char* why;
};
std::span<const IgnoredOption> ignored_options() noexcept;

/// The configuration that `--model` stands for: one deployment, as YAML.
std::string quick_config(const Options& options);

}  // namespace weir::proxy
