// What the command line of weir-loadtest says.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::loadtest {

enum class Mode : std::uint8_t { proxy, router };

struct Options {
    Mode mode = Mode::proxy;
    std::vector<std::string> urls;  ///< proxy mode
    std::string config;             ///< router mode
    std::uint64_t requests = 600;   ///< in each batch, over all processes
    unsigned batches = 10;
    double pause_seconds = 10;      ///< after each batch but the last
    std::optional<double> rate;     ///< requests per second in an open loop, instead of batches
    double seconds = 0;             ///< of the open loop
    unsigned instances = 0;         ///< routers, or clients, in each process
    unsigned processes = 1;
    std::string model = "fake-openai-endpoint";
    std::string api_key = "sk-1234";
    double timeout_seconds = 60;    ///< of a request in proxy mode
    std::string json;               ///< where to write the record; "-" is stdout
    std::vector<std::string> ledgers;
    std::optional<std::uint64_t> limit;   ///< arrivals per window at each ledger
    std::optional<std::uint64_t> tpm;     ///< tokens per window at each ledger
    std::optional<std::uint64_t> answer_tokens;  ///< that each answer uses
    std::optional<std::uint64_t> expect;  ///< successes per window over all
    std::optional<double> window_seconds;
    double transit_ms = 250;

    /// Requests of the whole open loop, at least one.
    std::uint64_t open_loop_requests() const noexcept;
};

/// What to do: run with `options`, or end with `exit_status` because everything was said.
struct CommandLine {
    Options options;
    std::optional<int> exit_status;
};

/// Reads the command line. Prints help, version and complaints itself; complaints end with 2.
CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version);

}  // namespace weir::loadtest
