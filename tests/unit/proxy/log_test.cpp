#include "proxy/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

using namespace weir::proxy;

namespace {

/// What `act` writes to standard error.
template <class Act>
std::string captured(Act act) {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    const int before = ::dup(STDERR_FILENO);
    ::dup2(pipe[1], STDERR_FILENO);
    act();
    ::dup2(before, STDERR_FILENO);
    std::string text(4096, '\0');
    const auto got = ::read(pipe[0], text.data(), text.size());
    for (const int descriptor : {before, pipe[0], pipe[1]}) ::close(descriptor);
    return text.substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
}

}  // namespace

TEST_CASE("levels have names") {
    for (const LogLevel level :
         {LogLevel::error, LogLevel::warning, LogLevel::info, LogLevel::debug}) {
        CHECK(log_level_from(to_string(level)) == level);
    }
    CHECK(log_level_from("nonsense") == LogLevel::warning);
}

TEST_CASE("lines above the level are not written, and the level can be changed") {
    set_log_level(LogLevel::warning);
    CHECK(captured([] { log(LogLevel::info, "quiet"); }).empty());
    CHECK(captured([] { log(LogLevel::warning, "loud"); }) == "weir-proxy: loud\n");
    CHECK(captured([] { change_log_level(1); }) == "weir-proxy: log level info\n");
    CHECK(captured([] { log(LogLevel::info, "now"); }) == "weir-proxy: now\n");
    CHECK(captured([] {
              for (int i = 0; i < 5; ++i) change_log_level(1);
          }).find("log level debug") != std::string::npos);
    CHECK(log_level() == LogLevel::debug);
    for (int i = 0; i < 5; ++i) captured([] { change_log_level(-1); });
    CHECK(log_level() == LogLevel::error);
    CHECK(captured([] { log(LogLevel::warning, "quiet"); }).empty());
    set_log_level(LogLevel::warning);
}
