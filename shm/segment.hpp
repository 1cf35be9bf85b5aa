// A segment: the POSIX shared memory that holds the counters of one host.
//
// Opening creates it, or attaches to the one that is there, or takes over what a creator killed
// half-way left. It stays when every process has gone: a restart or an upgrade of the same layout
// finds its counters.
//
// Thread safety: all members may be called from any thread. Process safety: all of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/clock.hpp"
#include "shm/limiter.hpp"
#include "shm/participant.hpp"

namespace weir::shm {

struct SegmentOptions {
    std::string name = "weir";  ///< [A-Za-z0-9._-]{1,200}; /dev/shm/<name>
    std::uint64_t size_bytes =
        16u << 20;      ///< 1 MiB .. 1 TiB, used on creation; see docs/design/segment.md
    std::string group;  ///< if set, mode 0660 and this group; else mode 0600
    Nanos wait_max = std::chrono::seconds(2);  ///< in all, for others that create the segment or leave one
                                               ///< that has lost its name
    /// The segment that is meant, opened by another process; -1: the one that bears the name. It is joined
    /// also if its name is gone, and then left together with its users. Stays the caller's.
    int descriptor = -1;
};

/// How an attempt to open ended. Each names what was met, so that a message can say what to do.
enum class Attach : std::uint8_t {
    attached,
    not_there,     ///< nobody has created it (read-only attach only)
    too_short,     ///< truncated
    not_ready,     ///< its creator is still at work, after wait_max
    other_layout,  ///< written by another version or build; the message says both
    other_boot,    ///< from before the host's last boot: its times mean nothing now
    unknown_boot,  ///< /proc does not show the boot, and the file may be from before the last one
    other_clock,   ///< another time namespace: the clocks differ
    no_space,      ///< /dev/shm is too small
    no_permission,
    bad_name,
    not_a_file,  ///< a directory, a pipe, a device or a symbolic link bears the name
    failed,      ///< another system error; the message has it
};

/// Thrown by Segment's factories and by lookups that cannot be served. what() says what was met and
/// what to do.
class SegmentError : public std::runtime_error {
 public:
    SegmentError(Attach reason, const std::string& message)
        : std::runtime_error(message), reason_(reason) {}
    Attach reason() const noexcept { return reason_; }

 private:
    Attach reason_;
};

/// The record's directory is full: no free place and no idle limiter to evict. A declared outcome.
class DirectoryFull : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

/// A limiter as an inspector sees it.
struct LimiterInfo {
    std::string scope;
    std::string name;
    Unit unit = Unit::requests;
    Nanos window{};
    LimiterUsage usage;
};

/// An actor that has joined.
struct ParticipantInfo {
    std::uint32_t slot = 0;
    std::uint64_t pid = 0;  ///< as its own pid namespace counts
    std::string role;
    Nanos joined{};      ///< CLOCK_MONOTONIC
    bool alive = false;  ///< false: it has died, and nobody has reaped it yet
};

/// The segment that a Segment stands for now: when its name is lost its users leave it for the one that bears
/// the name (docs/design/segment.md), and this leads to that one.
class CurrentSegment {
 public:
    explicit CurrentSegment(std::shared_ptr<SegmentImpl> first) noexcept : first_(std::move(first)) {}
    SegmentImpl* operator->() const noexcept { return get(); }
    SegmentImpl& operator*() const noexcept { return *get(); }
    SegmentImpl* get() const noexcept;
    unsigned moves() const noexcept;  ///< how often it was left

 private:
    std::shared_ptr<SegmentImpl> first_;
};

class Segment {
 public:
    /// Creates or attaches for reading and writing. A segment of an earlier boot or of a foreign
    /// layout is not touched but refused by a SegmentError.
    static Segment open(const SegmentOptions& options);

    /// Attaches to what is there, for reading only or for writing, too; never creates.
    enum class Access : std::uint8_t { read, write };
    static Segment attach(std::string_view name, Access access = Access::read);

    /// Removes the name. Who has it open notices, and goes over to a new segment of that name with what it
    /// has counted. False if not there.
    static bool remove(std::string_view name);

    Segment(Segment&&) noexcept;
    Segment& operator=(Segment&&) noexcept;
    ~Segment();

    const std::string& name() const noexcept;

    /// Housekeeping for a program without participants; Participant::reap() does it, too. Call it a few times
    /// a second: it notices that the name was removed or leads to another segment, and then leaves this one
    /// for that, with what is used.
    void tend(Nanos now) noexcept;

    /// How often this object has left a segment. When it has grown, every handle from before is refused as
    /// evicted, and what was looked up is to be looked up again: health records, counters and lines, too.
    unsigned moves() const noexcept { return impl_.moves(); }

    /// Why it could not leave a segment that has lost its name; empty if there is no such trouble. Until it
    /// is over this program counts apart from those that use the name.
    std::string trouble() const;

    /// Another opening of the segment's file, without locks, for a child to open it by (SegmentOptions). The
    /// caller closes it. -1: the system gives none.
    int open_descriptor() const noexcept;

    /// Takes a slot for one actor; `role` is shown by weir-inspect ("proxy:4000 worker 1"). Throws
    /// DirectoryFull when all slots are taken by the living.
    Participant join(std::string_view role);

    /// The limiter of that name, made if it is new, its limit set to `limit` (1 .. 2^39 - 1) either
    /// way. Throws DirectoryFull, or std::invalid_argument naming the field.
    Limiter limiter(const LimiterName& name, Units limit);

    /// The same for a limit that hosts share: `full` is what it allows all of them together. This host
    /// starts with none of it; what it may use is set by LeaseBoard (lease.hpp).
    Limiter shared_limiter(const LimiterName& name, Units full);
    Gauge shared_gauge(std::string_view scope, std::string_view name, Units full);

    /// The same for a program that does not know whether hosts share it. If they do, `limit` is what they may
    /// use together, and this host's part stays; if not, as limiter() and gauge().
    Limiter common_limiter(const LimiterName& name, Units limit);
    Gauge common_gauge(std::string_view scope, std::string_view name, Units max);

    /// Whether the limits that are looked up through this object are to be shared ones: for whoever looks
    /// them up; nothing else depends on it.
    void set_shared(bool shared) noexcept { shared_ = shared; }
    bool shared() const noexcept { return shared_; }

    /// Changes the limit; what is used stays.
    void set_limit(Limiter limiter, Units limit) noexcept;

    /// The gauge of that name, made if it is new. `max` 0 means no maximum: it only counts.
    Gauge gauge(std::string_view scope, std::string_view name, Units max);

    /// The waiting line of that name (lines.hpp), made if it is new; find_line() gives none then.
    Line line(std::string_view scope, std::string_view name);
    Line find_line(std::string_view scope, std::string_view name) const;

    /// The health record of that name, made if it is new; find_health() gives none then.
    Health health(std::string_view scope, std::string_view name);
    Health find_health(std::string_view scope, std::string_view name) const;

    /// The counter of that name, made if it is new. Labels are part of the name, as Prometheus
    /// writes them: `litellm_proxy_total_requests_metric_total{model="x"}`.
    Counter counter(std::string_view name);
    static void add(Counter counter, std::uint64_t amount) noexcept;

    /// Everything in the segment, for tools and for /metrics. Consistent for each entry, not across
    /// entries.
    std::vector<LimiterInfo> limiters(Nanos now) const;
    std::vector<ParticipantInfo> participants() const;

    /// Weir's own counters, summed over participants and time.
    struct OwnCounterInfo {
        std::string_view name;
        std::string_view unit;
        std::string_view help;
        std::uint64_t value = 0;
    };
    std::vector<OwnCounterInfo> own_counters() const;

    void each_counter(
        const std::function<void(std::string_view name, std::uint64_t value)>& visit) const;

 private:
    friend class Inspector;
    friend struct SegmentAccess;  // segment_impl.hpp
    /// Found or made; with `limit` and `full` (0: of this host alone) only if it is made. The next likewise.
    Limiter find_limiter(const LimiterName& name, Units limit, Units full);
    Gauge find_gauge(std::string_view scope, std::string_view name, Units max, Units full);
    explicit Segment(std::shared_ptr<SegmentImpl> impl);
    CurrentSegment impl_;
    bool shared_ = false;
};

}  // namespace weir::shm
