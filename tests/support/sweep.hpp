// Removes segments that killed test runs have left behind.
//
// Their names are weir-test-<pid>-… and weir-bench-<pid>-…. One goes if no process has that pid any more and
// it has been there for a while: where containers share /dev/shm, a pid of another one looks dead here.
//
// Thread safety: any; two may sweep at once.
#pragma once

#include <signal.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace weir::test {

inline constexpr std::chrono::minutes kSweepAge{10};

/// The pid in the name of a test's segment; 0 if it is none.
inline int pid_in(std::string_view name) {
    for (const std::string_view prefix : {"weir-test-", "weir-bench-"}) {
        if (name.substr(0, prefix.size()) != prefix) continue;
        const std::string_view rest = name.substr(prefix.size());
        int pid = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
        const bool whole = error == std::errc{} && end != rest.data() + rest.size() && *end == '-';
        return whole && pid > 0 ? pid : 0;
    }
    return 0;
}

inline bool is_dead(int pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

/// Returns how many it has removed from `folder`.
inline int sweep(const std::filesystem::path& folder = "/dev/shm") {
    int removed = 0;
    std::error_code error;
    const auto old = std::filesystem::file_time_type::clock::now() - kSweepAge;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const int pid = pid_in(entry.path().filename().native());
        if (pid == 0 || !is_dead(pid)) continue;
        const auto written = entry.last_write_time(error);
        if (!error && written < old && std::filesystem::remove(entry.path(), error)) ++removed;
    }
    return removed;
}

/// The first time in each process.
inline void sweep_once() {
    [[maybe_unused]] static const int removed = sweep();
}

}  // namespace weir::test
