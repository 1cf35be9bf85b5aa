// What a host and the store say to each other about leases: a beat, and its answer.
//
// A beat carries reports on many limits, is executed by the lease script as one step, and renews the host's
// lease on everything it has. docs/design/cross-host.md explains each field.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/redis/redis_value.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// One limit in a beat.
struct LeaseReport {
    std::size_t limit = 0;       ///< the host's own number for it; not sent
    std::string key;             ///< the limit's name in the store, behind the prefix
    shm::Units full = 0;         ///< of all hosts together
    std::int64_t window_ms = 0;  ///< 0: in flight
    shm::Units hold = 0;         ///< what this host may use at this moment
    shm::Units used = 0;         ///< what it has used, read after `hold` was in force
    shm::Units demand = 0;       ///< what it would use
    shm::Units need = 0;         ///< what it has to hold for the requests that wait now
    shm::Units ask = 0;          ///< what it would like to hold, not to have to ask again soon
};

struct Beat {
    std::uint64_t host = 0;
    std::uint64_t claimed = 0;   ///< the incarnation that the host knows; 0: none
    std::uint64_t sequence = 0;  ///< grows with every beat of the host
    std::uint64_t acked = 0;     ///< the latest whose answer has come; 0: none of this incarnation
    std::int64_t silence_ms = 0;  ///< since that one was sent
    std::uint64_t epoch = 0;     ///< of the registration that this belongs to; each is later than the last
    std::uint64_t nonce = 0;     ///< names a new incarnation, should there be need of one; below 10^13
    bool registering = false;    ///< these are all reports that there are: what is not told is not held …
    bool more = false;           ///< … with those of the beats that follow
    bool failed = false;         ///< since the last answer the host has kept limits without a lease
    std::int64_t lease_ms = 0;
    std::int64_t margin_ms = 0;  ///< by which the store holds everything longer than the host
    std::uint64_t hosts_expected = 1;
    std::vector<LeaseReport> reports;
};

struct BeatAnswer {
    enum class Status : std::uint8_t {
        granted,
        unknown,  ///< the store does not know what this host holds: it must register with `incarnation`
        stale,    ///< a later beat of this host had come before
    };
    Status status = Status::granted;
    std::uint64_t incarnation = 0;
    std::uint64_t hosts = 0;         ///< live ones
    std::vector<shm::Units> leases;  ///< for each report what the host may hold from now on
};

/// The words of EVALSHA behind the script's SHA-1. `prefix` holds a hash tag. `clock_ms` is
/// for tests: the store's own clock otherwise.
std::vector<std::string> to_words(const Beat& beat, std::string_view prefix,
                                  std::optional<std::int64_t> clock_ms = std::nullopt);

/// Empty if `value` is no answer to a beat with so many reports.
std::optional<BeatAnswer> read_answer(const RedisValue& value, std::size_t reports);

}  // namespace weir::router
