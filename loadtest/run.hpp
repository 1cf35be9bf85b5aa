// A whole load test: the crew, the batches, the ledgers, the verdict.
//
// Thread safety: none. Forks; call it before the process has threads.
#pragma once

#include "loadtest/options.hpp"

namespace weir::loadtest {

enum ExitStatus : int {
    kExitHeld = 0,
    kExitBroken = 1,    ///< a limit was broken, or capacity was left unused without cause
    kExitUsage = 2,     ///< the command line or the configuration is wrong
    kExitCannotRun = 3,
};

/// Runs and prints. Complaints go to stderr; returns the exit status.
int run(const Options& options);

}  // namespace weir::loadtest
