#include "loadtest/crew.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

#include "shm/clock.hpp"

namespace weir::loadtest {
namespace {

/// Enough for the workers to make their requests before it is time to send them.
constexpr Nanos kHeadStart = std::chrono::milliseconds(20);
constexpr int kDismissTimeoutMs = 1000;

/// Runs in the child; does not return.
[[noreturn]] void run_worker(const Crew::WorkerMain& worker_main, int socket, unsigned index) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    int status = 0;
    try {
        worker_main(socket, index);
    } catch (const std::exception& error) {
        Report report;
        report.kind = Report::Kind::failed;
        report.set_error(error.what());
        send_message(socket, report);
        status = 1;
    }
    ::_exit(status);
}

std::string describe_end(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) return "ended";
    if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
    return fmt::format("ended with status {}", WEXITSTATUS(status));
}

}  // namespace

std::uint64_t share_of(std::uint64_t requests, unsigned workers, unsigned index) noexcept {
    return requests / workers + (index < requests % workers ? 1 : 0);
}

Crew::Crew(unsigned processes, const WorkerMain& worker_main) {
    try {
        for (unsigned i = 0; i < processes; ++i) start(worker_main, i);
        for (Member& member : members_) read_report(member);
    } catch (const CrewError&) {
        dismiss();
        throw;
    }
}

Crew::~Crew() { dismiss(); }

void Crew::start(const WorkerMain& worker_main, unsigned index) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        throw CrewError(fmt::format("cannot make a socket pair: {}", std::strerror(errno)));
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
        // The other members' sockets must not be kept open here, or they would not see their ends.
        for (const Member& member : members_) ::close(member.socket);
        ::close(pair[0]);
        run_worker(worker_main, pair[1], index);
    }
    ::close(pair[1]);
    if (pid < 0) {
        ::close(pair[0]);
        throw CrewError(fmt::format("cannot start worker {}: {}", index, std::strerror(errno)));
    }
    Member member;
    member.pid = pid;
    member.socket = pair[0];
    members_.push_back(member);
}

void Crew::dismiss() noexcept {
    for (Member& member : members_) ::shutdown(member.socket, SHUT_WR);
    for (Member& member : members_) {
        // Its end of the socket closes when it has ended, however.
        pollfd closed{member.socket, POLLIN, 0};
        char dropped[sizeof(Report)];
        while (member.pid > 0 && ::poll(&closed, 1, kDismissTimeoutMs) > 0 &&
               ::recv(member.socket, dropped, sizeof dropped, 0) > 0) {
        }
        if (member.pid > 0 && ::waitpid(member.pid, nullptr, WNOHANG) == 0) {
            if ((closed.revents & POLLIN) == 0) ::kill(member.pid, SIGKILL);
            ::waitpid(member.pid, nullptr, 0);
        }
        ::close(member.socket);
    }
    members_.clear();
}

Report Crew::read_report(Member& member) {
    Report report;
    const auto index = &member - members_.data();
    if (!receive_message(member.socket, report)) {
        const std::string end = describe_end(member.pid);
        member.pid = -1;
        throw CrewError(fmt::format("worker {} {}", index, end));
    }
    report.error.back() = '\0';
    if (report.kind == Report::Kind::failed) throw CrewError(report.error.data());
    return report;
}

std::optional<Report> Crew::next_report(std::optional<Nanos> deadline, Member*& from) {
    std::vector<pollfd> sockets;
    for (const Member& member : members_) sockets.push_back({member.socket, POLLIN, 0});
    for (;;) {
        int timeout = -1;
        if (deadline) {
            const Nanos left = std::max(*deadline - shm::now(), Nanos(0));
            const auto whole = std::chrono::ceil<std::chrono::milliseconds>(left).count();
            timeout = static_cast<int>(std::min<std::int64_t>(whole, 3'600'000));
        }
        const int ready = ::poll(sockets.data(), sockets.size(), timeout);
        if (ready == 0 && deadline && shm::now() >= *deadline) return std::nullopt;
        for (std::size_t i = 0; ready > 0 && i < sockets.size(); ++i) {
            if (sockets[i].revents == 0) continue;
            from = &members_[i];
            return read_report(members_[i]);
        }
    }
}

Batch Crew::run_batch(std::uint64_t requests, const Progress& progress) {
    Order order;
    order.start = shm::now() + kHeadStart;
    const auto workers = static_cast<unsigned>(members_.size());
    for (unsigned i = 0; i < workers; ++i) {
        order.requests = share_of(requests, workers, i);
        members_[i].busy = order.requests > 0;
        members_[i].batch = {};
        // A worker that is gone is reported by the read that follows.
        if (members_[i].busy) send_message(members_[i].socket, order);
    }
    const auto is_busy = [](const Member& member) { return member.busy; };
    while (std::any_of(members_.begin(), members_.end(), is_busy)) {
        Member* from = nullptr;
        const auto report = next_report(std::nullopt, from);
        from->batch = report->batch;
        from->busy = report->kind != Report::Kind::done;
        std::uint64_t answered = 0;
        for (const Member& member : members_) answered += member.batch.tally.total();
        progress(answered);
    }
    Batch whole;
    whole.start = Nanos::max();
    for (const Member& member : members_) {
        if (member.batch.tally.total() == 0) continue;
        whole.start = std::min(whole.start, member.batch.start);
        whole.end = std::max(whole.end, member.batch.end);
        whole.tally.add(member.batch.tally);
    }
    return whole;
}

void Crew::pause(Nanos duration) {
    Member* from = nullptr;
    const Nanos until = shm::now() + duration;
    while (next_report(until, from)) {
    }
}

}  // namespace weir::loadtest
