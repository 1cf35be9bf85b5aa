// What of a killed test run is swept away, and what is left alone.
#include "tests/support/sweep.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "tests/support/scratch.hpp"

using weir::test::ScratchFolder;

namespace {

/// A pid that nobody has any more.
int dead_pid() {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    REQUIRE(child > 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    return child;
}

}  // namespace

TEST_CASE("segments of dead test runs are swept away, and no others") {
    const ScratchFolder folder;
    const std::string dead = std::to_string(dead_pid());
    const std::string own = std::to_string(::getpid());
    const auto old = std::filesystem::file_time_type::clock::now() - 2 * weir::test::kSweepAge;
    const auto make = [&](const std::string& name, bool aged) {
        const std::string path = folder.write(name, "x");
        if (aged) std::filesystem::last_write_time(path, old);
        return path;
    };
    const std::string gone[] = {make("weir-test-" + dead + "-1", true),
                                make("weir-bench-" + dead + "-limiter", true)};
    const std::string kept[] = {make("weir-test-" + dead + "-2", false),
                                make("weir-test-" + own + "-1", true),
                                make("weir-test-" + dead, true), make("weir-" + dead + "-1", true),
                                make("weir", true)};
    CHECK(weir::test::sweep(folder.path("")) == 2);
    for (const std::string& path : gone) CHECK_FALSE(std::filesystem::exists(path));
    for (const std::string& path : kept) CHECK(std::filesystem::exists(path));
}
