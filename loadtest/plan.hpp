// What a run needs to know beyond its command line: addresses taken apart, the configuration read,
// the rules to judge by.
//
// Thread safety: values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loadtest/judge.hpp"
#include "loadtest/options.hpp"
#include "router/config.hpp"
#include "router/url.hpp"

namespace weir::loadtest {

/// An upstream whose ledger is read.
struct LedgerSource {
    std::string text;  ///< as given
    router::Url url;
    std::optional<std::uint64_t> limit;  ///< empty: the upstream's own
    std::optional<std::uint64_t> token_limit;  ///< where tokens are what is limited
};

struct Plan {
    std::vector<router::Url> proxies;
    router::RouterConfig config;  ///< router mode
    std::vector<LedgerSource> ledgers;
    Rules rules;
};

/// Makes the plan. Empty if something is wrong with the addresses or the configuration; all
/// complaints, and warnings, are in `complaints`, one line each.
std::optional<Plan> make_plan(const Options& options, std::vector<std::string>& complaints);

/// The same, with the configuration already read.
std::optional<Plan> make_plan(const Options& options, router::RouterConfig config,
                              std::vector<std::string>& complaints);

}  // namespace weir::loadtest
