// Several worker processes under one that watches them: the dead are replaced, signals are passed
// on, and the listening sockets live here, so that a connection that waits in the queue of a killed
// worker is served by its successor.
//
// Thread safety: none. It forks, so no thread may run when it starts.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include <sys/types.h>

namespace weir::proxy {

/// The pause before the successor of a worker starts that lived for `lived`: none, unless it died early and
/// not as `planned`; then twice as long as `before`, up to a maximum.
std::chrono::milliseconds restart_pause(std::chrono::milliseconds before, std::chrono::milliseconds lived,
                                        bool planned) noexcept;

class Supervisor {
 public:
    /// `work(index)` is what worker `index` does, in its own process, with the signals of signals.hpp
    /// blocked until it lets them in; what it returns is the exit status. `reload` decides on SIGHUP
    /// whether to pass it on.
    Supervisor(unsigned workers, std::function<int(unsigned index)> work, std::function<bool()> reload);

    /// Starts the workers. From here on signals wait for run().
    void start();

    /// Until SIGTERM or SIGINT has ended all workers, or none of them can start. Returns the exit
    /// status.
    int run();

 private:
    using Clock = std::chrono::steady_clock;
    struct Slot {
        pid_t pid = -1;
        Clock::time_point started{};
        Clock::time_point restart_at{};
        std::chrono::milliseconds pause{};  // before the next restart; grows while it keeps dying early
        bool served = false;                // whether it ever lived for longer than kEarly
    };

    void start_one(unsigned index);
    void on_signal(int number);
    void reload();
    void reap();
    void bury(Slot& slot, unsigned index, int status);
    void restart_due();
    std::chrono::milliseconds until_next() const;
    bool any_alive() const;
    void tell_all(int number) const;

    std::function<int(unsigned)> work_;
    std::function<bool()> reload_;
    std::vector<Slot> slots_;
    bool ending_ = false;
    int status_ = 0;
};

}  // namespace weir::proxy
