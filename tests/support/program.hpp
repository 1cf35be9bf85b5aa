// A program that a test starts and watches; it never outlives the test.
//
// Each is the leader of a process group of its own, so that what it starts ends with it. Its output
// goes to files in memory, so that it never waits for a reader.
//
// Thread safety: none. Errors throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/wait.hpp"

namespace weir::test {

class Program {
 public:
    struct Options {
        /// "NAME=value", in addition to the test's own environment.
        std::vector<std::string> environment;
    };

    /// Starts `command`: the name of one of our programs ("weir-proxy"), or a path.
    explicit Program(std::vector<std::string> command, const Options& options = {});

    /// Kills it and its group, and waits for it.
    ~Program();
    Program(Program&& other) noexcept;
    Program& operator=(Program&& other) noexcept;

    pid_t pid() const noexcept { return pid_; }

    /// What it has written so far.
    std::string output() const;
    std::string errors() const;

    /// Waits until its output has `text`. Throws, with all it wrote, when it ends before or patience does.
    void wait_for_output(const std::string& text, std::chrono::nanoseconds patience = kPatience);

    /// The port in its line "listening on http://…:PORT", which is waited for.
    std::uint16_t port();

    /// To the program alone.
    void signal(int number) const;

    /// To all of its group, as a terminal does for Ctrl-C.
    void signal_group(int number) const;

    /// Whether it has ended by now.
    bool has_ended();

    /// Waits for its end: the exit status, or 256 + the signal that ended it.
    int wait(std::chrono::nanoseconds patience = kPatience);

    /// SIGTERM, and wait().
    int stop();

    /// SIGKILL, and wait().
    void kill();

 private:
    [[noreturn]] void fail(const std::string& what) const;
    void abandon() noexcept;

    std::string name_;
    pid_t pid_ = -1;   // -1: none
    int status_ = -1;  // of waitpid, once `ended_`
    bool ended_ = false;
    int output_ = -1;
    int errors_ = -1;
};

/// Runs a program to its end.
struct Finished {
    int status = -1;  ///< as Program::wait
    std::string output;
    std::string errors;
};
Finished run(std::vector<std::string> command, const Program::Options& options = {},
             std::chrono::nanoseconds patience = std::chrono::seconds(90));

/// The path of a file of the source tree, "scripts/run_local.sh".
std::string source_path(const std::string& relative);

/// The folder that our programs were built into.
std::string programs_folder();

}  // namespace weir::test
