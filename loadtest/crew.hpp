// The working processes of a load test, from the parent's side: starts them, gives each its share of
// a batch, gathers what they report, and notices when one dies.
//
// Thread safety: none. Make it before the process has threads or an io_context.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <vector>

#include "loadtest/message.hpp"

namespace weir::loadtest {

/// A worker could not start, or died.
class CrewError : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

/// What became of requests that were sent at a constant rate.
struct OpenLoop {
    std::vector<Batch> slices;  ///< by the time at which requests were due; as judge() wants them
    Latencies latencies;        ///< from when a request was due to its answer
};

class Crew {
 public:
    /// What a worker does: `socket` brings orders and takes reports. Its result is the exit status.
    using WorkerMain = std::function<void(int socket, unsigned index)>;

    /// Called now and then with the number of answers that have come in.
    using Progress = std::function<void(std::uint64_t answered)>;

    /// Forks `processes` workers and waits until each is ready. Throws CrewError.
    Crew(unsigned processes, const WorkerMain& worker_main);

    /// Lets the workers finish, and ends those that do not within a second.
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    /// Sends `requests` in equal shares, all at the same time. Throws CrewError.
    Batch run_batch(std::uint64_t requests, const Progress& progress);

    /// Sends `requests` at a constant rate, one every `interval` over all workers, whatever becomes of them.
    /// Throws CrewError.
    OpenLoop run_open_loop(std::uint64_t requests, Nanos interval, Nanos slice, const Progress& progress);

    /// Waits. Throws CrewError if a worker dies meanwhile.
    void pause(Nanos duration);

 private:
    struct Member {
        pid_t pid = -1;
        int socket = -1;
        Batch batch;
        bool busy = false;
    };

    void start(const WorkerMain& worker_main, unsigned index);
    void dismiss() noexcept;
    void send_order(Member& member, const Order& order);

    /// Reads reports until every worker is done with its order; slices and ends of orders go to `take`.
    void gather(const Progress& progress, const std::function<void(const Report&)>& take);

    /// Waits for the next report, until `deadline` if there is one.
    std::optional<Report> next_report(std::optional<Nanos> deadline, Member*& from);
    Report read_report(Member& member);

    std::vector<Member> members_;
};

/// How many of `requests` worker `index` of `workers` gets: equal shares, the first ones one more.
std::uint64_t share_of(std::uint64_t requests, unsigned workers, unsigned index) noexcept;

}  // namespace weir::loadtest
