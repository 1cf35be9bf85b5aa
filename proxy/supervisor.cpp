#include "proxy/supervisor.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "proxy/log.hpp"
#include "proxy/service_manager.hpp"
#include "proxy/signals.hpp"

namespace weir::proxy {
namespace {

using std::chrono::milliseconds;

/// A worker that dies within this time of its start is restarted more and more slowly.
constexpr milliseconds kEarly{5000};
constexpr milliseconds kPauseFirst{100};
constexpr milliseconds kPauseMax{5000};

sigset_t governed_signals() {
    sigset_t set = worker_signals();
    sigaddset(&set, SIGCHLD);
    return set;
}

std::string how_it_ended(int status) {
    if (WIFSIGNALED(status)) {
        return fmt::format("was killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    }
    return fmt::format("exited with status {}", WEXITSTATUS(status));
}

}  // namespace

milliseconds restart_pause(milliseconds before, milliseconds lived, bool planned) noexcept {
    if (planned || lived >= kEarly) return milliseconds(0);
    return std::clamp(before * 2, kPauseFirst, kPauseMax);
}

Supervisor::Supervisor(unsigned workers, std::function<int(unsigned)> work, std::function<bool()> reload)
    : work_(std::move(work)), reload_(std::move(reload)), slots_(workers) {}

void Supervisor::start() {
    // Signals are taken one at a time by sigtimedwait; nothing happens in a handler.
    const sigset_t set = governed_signals();
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    for (unsigned i = 0; i < slots_.size(); ++i) start_one(i);
}

int Supervisor::run() {
    const sigset_t set = governed_signals();
    while (any_alive() || !ending_) {
        const milliseconds wait = until_next();
        const timespec patience{wait.count() / 1000, (wait.count() % 1000) * 1'000'000};
        const int number = ::sigtimedwait(&set, nullptr, &patience);
        if (number > 0) on_signal(number);
        if (!ending_) restart_due();
    }
    return status_;
}

void Supervisor::start_one(unsigned index) {
    Slot& slot = slots_[index];
    const pid_t supervisor = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) {
        // If the supervisor is killed its workers end as if they were told to.
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != supervisor) ::_exit(0);
        const int status = work_(index);
        std::fflush(nullptr);
        ::_exit(status);
    }
    slot.started = Clock::now();
    slot.pid = pid;
    if (pid < 0) {
        log(LogLevel::error, fmt::format("cannot start worker {}: {}", index, std::strerror(errno)));
        slot.restart_at = slot.started + kPauseMax;
    }
}

void Supervisor::on_signal(int number) {
    if (number == SIGCHLD) return reap();
    if (number == SIGHUP) return reload();
    if (number == SIGUSR1 || number == SIGUSR2) {
        change_log_level(number == SIGUSR1 ? 1 : -1);
        return tell_all(number);
    }
    notify_manager("STOPPING=1");
    ending_ = true;
    tell_all(SIGTERM);
}

void Supervisor::reload() {
    notify_reloading();
    if (reload_()) tell_all(SIGHUP);
    notify_manager("READY=1");
}

void Supervisor::reap() {
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid <= 0) return;
        for (unsigned i = 0; i < slots_.size(); ++i) {
            if (slots_[i].pid == pid) bury(slots_[i], i, status);
        }
    }
}

void Supervisor::bury(Slot& slot, unsigned index, int status) {
    slot.pid = -1;
    if (ending_) return;
    const auto now = Clock::now();
    const bool planned = WIFEXITED(status) && WEXITSTATUS(status) == 0;  // it has served as many as it may
    const auto lived = std::chrono::duration_cast<milliseconds>(now - slot.started);
    slot.pause = restart_pause(slot.pause, lived, planned);
    slot.served |= slot.pause == milliseconds(0) || WIFSIGNALED(status);
    slot.restart_at = now + slot.pause;
    log(LogLevel::warning,
        fmt::format("worker {} {}; restarting it in {} ms", index, how_it_ended(status), slot.pause.count()));
    // One that exits by itself before it has ever served says why, and will not do better later.
    if (!slot.served && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        ending_ = true;
        status_ = WEXITSTATUS(status);
        tell_all(SIGTERM);
    }
}

void Supervisor::restart_due() {
    const auto now = Clock::now();
    for (unsigned i = 0; i < slots_.size(); ++i) {
        if (slots_[i].pid < 0 && slots_[i].restart_at <= now) start_one(i);
    }
}

milliseconds Supervisor::until_next() const {
    auto wait = milliseconds(1000);
    for (const Slot& slot : slots_) {
        if (slot.pid >= 0) continue;
        const auto left = std::chrono::duration_cast<milliseconds>(slot.restart_at - Clock::now());
        wait = std::clamp(left + milliseconds(1), milliseconds(0), wait);
    }
    return wait;
}

bool Supervisor::any_alive() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.pid > 0; });
}

void Supervisor::tell_all(int number) const {
    for (const Slot& slot : slots_) {
        if (slot.pid > 0) ::kill(slot.pid, number);
    }
}

}  // namespace weir::proxy
