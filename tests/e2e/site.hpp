// What a user has running: two fake upstreams, and proxies in front of them that share a segment.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/program.hpp"
#include "tests/support/scratch.hpp"

namespace weir::test {

class Site {
 public:
    struct Options {
        double window_seconds = 2;
        std::vector<std::string> upstream_arguments = {"--rpm", "0"};
        std::string weir_settings = {};   ///< further ones, "name: value, …"
        std::string limits = "rpm: 100";  ///< of each deployment
        std::string more = {};            ///< further sections, as lines of YAML
    };

    /// Starts two upstreams; each deployment takes 100 requests per window, unless `limits` says otherwise.
    explicit Site(const Options& options);

    /// The configuration of all proxies and routers, with another segment if given.
    std::string config(const std::string& segment = {}) const;

    /// Changes the file that config() has written for `segment`, for a proxy that reads it again.
    void edit_config(const std::string& segment, const std::string& from, const std::string& to) const;

    /// Starts a proxy on any port, or on this one, and waits until it listens. `environment`: "NAME=value".
    Program& start_proxy(std::uint16_t port = 0, const std::string& segment = {},
                         const std::vector<std::string>& environment = {});

    const std::string& segment() const noexcept { return segment_.name(); }

    const std::vector<std::uint16_t>& upstream_ports() const noexcept { return ports_; }

    /// "--ledger URL" for each upstream, "--limit 100", the window and an ample transit.
    std::vector<std::string> judged_by_ledgers() const;

    /// Arguments of weir-loadtest: requests to these proxies as `more` says, judged by the ledgers.
    std::vector<std::string> load(const std::vector<Program*>& proxies,
                                  const std::vector<std::string>& more) const;

 private:
    Options options_;
    ScratchSegment segment_;
    ScratchFolder folder_;
    std::vector<Program> upstreams_;
    std::deque<Program> proxies_;
    std::vector<std::uint16_t> ports_;
};

/// weir-loadtest with `arguments`, and its record in JSON.
struct Judged {
    Finished finished;
    nlohmann::json record;
};
Judged judge(std::vector<std::string> arguments, std::chrono::seconds patience = std::chrono::seconds(90));

/// What an upstream has noted, in the order of arrival.
nlohmann::json arrivals_at(std::uint16_t port);

/// The number of arrivals at an upstream so far.
std::uint64_t arrival_count(std::uint16_t port);

/// The most arrivals within any interval shorter than `seconds`: counted here once more, by hand.
std::size_t fullest_window(const nlohmann::json& arrivals, double seconds);

std::string url_of(std::uint16_t port);

}  // namespace weir::test
