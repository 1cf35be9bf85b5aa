#include "tests/support/program.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace weir::test {
namespace {

/// What may be done between fork and exec: system calls only.
[[noreturn]] void become(char* const* arguments, char* const* environment, int output, int errors) {
    ::setpgid(0, 0);
    // A test that is killed takes its programs along; a script has no time to end what it started,
    // so that gets a SIGTERM.
    const bool is_script = std::string_view(arguments[0]).ends_with(".sh");
    ::prctl(PR_SET_PDEATHSIG, is_script ? SIGTERM : SIGKILL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    ::execve(arguments[0], arguments, environment);
    ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (std::string& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

std::string read_all(int file) {
    std::string text;
    char buffer[4096];
    for (off_t at = 0;;) {
        const ssize_t got = ::pread(file, buffer, sizeof buffer, at);
        if (got <= 0) return text;
        text.append(buffer, static_cast<std::size_t>(got));
        at += got;
    }
}

}  // namespace

std::string source_path(const std::string& relative) {
    return std::string(WEIR_TEST_SOURCE) + '/' + relative;
}

std::string programs_folder() { return WEIR_TEST_PROGRAMS; }

Program::Program(std::vector<std::string> command, const Options& options) : name_(command.at(0)) {
    if (command[0].find('/') == std::string::npos) command[0] = programs_folder() + '/' + command[0];
    std::vector<std::string> environment = options.environment;
    for (char** entry = ::environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
    // glibc overwrites what is freed: who uses it afterwards is seen, also without a sanitizer.
    environment.emplace_back("MALLOC_PERTURB_=165");
    output_ = ::memfd_create("output", MFD_CLOEXEC);
    errors_ = ::memfd_create("errors", MFD_CLOEXEC);
    const auto arguments = pointers(command);
    const auto variables = pointers(environment);
    pid_ = ::fork();
    if (pid_ == 0) become(arguments.data(), variables.data(), output_, errors_);
    if (pid_ < 0) throw std::runtime_error("fork failed");
    ::setpgid(pid_, pid_);  // whoever of the two is first
}

Program::~Program() { abandon(); }

Program::Program(Program&& other) noexcept { *this = std::move(other); }

Program& Program::operator=(Program&& other) noexcept {
    if (this == &other) return *this;
    abandon();
    name_ = std::move(other.name_);
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
    ended_ = other.ended_;
    output_ = std::exchange(other.output_, -1);
    errors_ = std::exchange(other.errors_, -1);
    return *this;
}

void Program::abandon() noexcept {
    if (pid_ > 0) {
        // The group may outlive its leader; its number is not used again while it does.
        ::kill(-pid_, SIGKILL);
        if (!ended_) ::waitpid(pid_, nullptr, 0);
    }
    if (output_ >= 0) ::close(output_);
    if (errors_ >= 0) ::close(errors_);
}

std::string Program::output() const { return read_all(output_); }

std::string Program::errors() const { return read_all(errors_); }

void Program::fail(const std::string& what) const {
    throw std::runtime_error(name_ + ' ' + what + "\n--- its output:\n" + output() +
                             "--- its errors:\n" + errors());
}

bool Program::has_ended() {
    if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return ended_;
}

void Program::wait_for_output(const std::string& text, std::chrono::nanoseconds patience) {
    bool ended = false;
    const bool found = wait_until(
        [&] {
            ended = has_ended();  // asked first: what it wrote before its end counts
            return output().find(text) != std::string::npos || ended;
        },
        patience);
    if (output().find(text) != std::string::npos) return;
    fail((found ? "ended without writing \"" : "did not write \"") + text + '"');
}

std::uint16_t Program::port() {
    wait_for_output("listening on ");
    wait_until([&] { return output().find('\n', output().find("listening on ")) != std::string::npos; });
    const std::string text = output();
    const auto line_end = text.find('\n', text.find("listening on "));
    const auto colon = text.rfind(':', line_end);
    return static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1, line_end - colon - 1)));
}

void Program::signal(int number) const {
    if (!ended_) ::kill(pid_, number);
}

void Program::signal_group(int number) const { ::kill(-pid_, number); }

int Program::wait(std::chrono::nanoseconds patience) {
    if (!wait_until([&] { return has_ended(); }, patience)) fail("did not end");
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 256 + WTERMSIG(status_);
}

int Program::stop() {
    signal(SIGTERM);
    return wait();
}

void Program::kill() {
    signal(SIGKILL);
    wait();
}

Finished run(std::vector<std::string> command, const Program::Options& options,
             std::chrono::nanoseconds patience) {
    Program program(std::move(command), options);
    const int status = program.wait(patience);
    return {status, program.output(), program.errors()};
}

}  // namespace weir::test
