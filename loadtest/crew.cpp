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

/// Adds what another process did of the same batch.
void join(Batch& whole, const Batch& part) {
    if (part.tally.total() == 0) return;
    whole.start = whole.tally.total() == 0 ? part.start : std::min(whole.start, part.start);
    whole.end = std::max(whole.end, part.end);
    whole.tally.add(part.tally);
}

/// An answer may come after those of the next slice, and a process that is late may begin with one after
/// others began with the next: widens slices so that neither starts nor ends go down.
void put_in_order(std::vector<Batch>& slices) {
    for (std::size_t i = 1; i < slices.size(); ++i) {
        slices[i].end = std::max(slices[i].end, slices[i - 1].end);
    }
    for (std::size_t i = slices.size(); i-- > 1;) {
        slices[i - 1].start = std::min(slices[i - 1].start, slices[i].start);
    }
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

void Crew::send_order(Member& member, const Order& order) {
    member.busy = order.requests > 0;
    member.batch = {};
    // A worker that is gone is reported by the read that follows.
    if (member.busy) send_message(member.socket, order);
}

void Crew::gather(const Progress& progress, const std::function<void(const Report&)>& take) {
    const auto is_busy = [](const Member& member) { return member.busy; };
    while (std::any_of(members_.begin(), members_.end(), is_busy)) {
        Member* from = nullptr;
        const auto report = next_report(std::nullopt, from);
        if (report->kind == Report::Kind::slice) {
            take(*report);
            continue;
        }
        from->batch = report->batch;
        from->busy = report->kind != Report::Kind::done;
        if (!from->busy) take(*report);
        std::uint64_t answered = 0;
        for (const Member& member : members_) answered += member.batch.tally.total();
        progress(answered);
    }
}

Batch Crew::run_batch(std::uint64_t requests, const Progress& progress) {
    Order order;
    order.start = shm::now() + kHeadStart;
    const auto workers = static_cast<unsigned>(members_.size());
    for (unsigned i = 0; i < workers; ++i) {
        order.requests = share_of(requests, workers, i);
        send_order(members_[i], order);
    }
    gather(progress, [](const Report&) {});
    Batch whole;
    for (const Member& member : members_) join(whole, member.batch);
    return whole;
}

OpenLoop Crew::run_open_loop(std::uint64_t requests, Nanos interval, Nanos slice, const Progress& progress) {
    Order order;
    order.start = shm::now() + kHeadStart;
    order.slice = slice;
    const auto workers = static_cast<unsigned>(members_.size());
    order.interval = interval * workers;
    for (unsigned i = 0; i < workers; ++i) {
        order.first = interval * i;
        order.requests = share_of(requests, workers, i);
        send_order(members_[i], order);
    }
    OpenLoop loop;
    const auto last = interval * static_cast<std::int64_t>(requests - 1);
    loop.slices.resize(static_cast<std::size_t>(last / slice) + 1);
    gather(progress, [&](const Report& report) {
        if (report.kind == Report::Kind::done) return loop.latencies.add(report.latencies);
        if (report.index < loop.slices.size()) join(loop.slices[report.index], report.batch);
    });
    std::erase_if(loop.slices, [](const Batch& batch) { return batch.tally.total() == 0; });
    put_in_order(loop.slices);
    return loop;
}

void Crew::pause(Nanos duration) {
    Member* from = nullptr;
    const Nanos until = shm::now() + duration;
    while (next_report(until, from)) {
    }
}

}  // namespace weir::loadtest
