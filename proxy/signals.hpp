// The signals that govern workers. A supervisor keeps them waiting in a new worker until there is
// somebody to take them: a reload must not fall between reading the configuration and serving by it.
#pragma once

#include <signal.h>

#include <initializer_list>

namespace weir::proxy {

/// Those that a worker takes.
inline sigset_t worker_signals() noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, number);
    return set;
}

/// Lets those in that have waited.
inline void let_signals_in() noexcept {
    const sigset_t set = worker_signals();
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace weir::proxy
