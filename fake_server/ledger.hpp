// What arrived at this server and when, accepted and refused alike: the independent record against
// which a limiter is judged.
//
// Bounded: the newest `entries_max` arrivals are kept, `dropped` counts the overwritten ones, and
// the sums go on. Numbers of arrivals never repeat, not even after clear().
//
// Thread safety: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fake_server/fixed_window.hpp"
#include "fake_server/instant.hpp"

namespace weir::fake_server {

enum class Verdict : std::uint8_t {
    accepted,  ///< within the server's own limit, and answered (or meant to be answered) well
    refused,   ///< over the server's own limit
    failed,    ///< within the limit, but a script or the error rate made it an error
};

/// How the exchange ended.
enum class End : std::uint8_t {
    running,      ///< the answer is not out yet
    complete,     ///< every byte of the answer was handed to the kernel
    client_gone,  ///< the client left before that
    cut,          ///< the server broke off, as its script said
};

/// One arrival, as the desk reports it. The text is copied.
struct Arrival {
    Instant at;
    std::uint64_t connection = 0;  ///< counts the connections since the start, from 1
    std::string_view remote;
    std::string_view path;
    std::string_view model;
    bool stream = false;
    Verdict verdict = Verdict::accepted;
    unsigned status = 200;  ///< 0 when the connection is closed without an answer
    std::uint64_t prompt_tokens = 0;
    std::uint64_t completion_tokens = 0;
};

/// Texts that repeat (models, addresses, paths), each kept once and already escaped for JSON.
/// Bounded: the 65,537th distinct text and all later ones become "(other)".
class Names {
 public:
    std::uint32_t id(std::string_view text);
    const std::string& json(std::uint32_t id) const { return json_[id]; }
    void clear();

 private:
    std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> ids_;
    std::vector<std::string> json_;
};

class Ledger {
 public:
    /// `entries_max` at least 1.
    explicit Ledger(std::size_t entries_max) : entries_max_(entries_max) {}

    /// Records one arrival and returns its number, from 1.
    std::uint64_t arrived(const Arrival& arrival);

    /// Records how arrival `seq` ended; ignored when it is no longer kept.
    void ended(std::uint64_t seq, End end, std::int64_t monotonic_ns);

    /// Forgets arrivals and sums; returns how many arrivals there were.
    std::uint64_t clear();

    /// Appends `"summary":{…}`.
    void append_summary(std::string& json) const;

    /// Appends `"arrivals":[…]`: those with a number above `since`, at most `count_max`.
    void append_arrivals(std::string& json, std::uint64_t since, std::size_t count_max) const;

 private:
    struct Entry {
        Instant at;
        std::int64_t end_monotonic_ns = 0;
        std::uint64_t connection = 0;
        std::uint64_t prompt_tokens = 0;
        std::uint64_t completion_tokens = 0;
        std::uint32_t remote = 0;
        std::uint32_t path = 0;
        std::uint32_t model = 0;
        std::uint16_t status = 0;
        Verdict verdict = Verdict::accepted;
        End end = End::running;
        bool stream = false;
    };

    const Entry& entry(std::uint64_t seq) const { return entries_[(seq - 1) % entries_max_]; }
    void append_entry(std::string& json, std::uint64_t seq) const;
    void count(const Arrival& arrival);

    std::size_t entries_max_;
    std::vector<Entry> entries_;    // a ring by number once it is full
    std::uint64_t first_ = 1;       // number of the oldest kept entry
    std::uint64_t next_ = 1;        // number of the next arrival
    std::uint64_t cleared_at_ = 1;  // number of the first arrival after the last clear()
    Names names_;
    std::array<std::uint64_t, 3> verdicts_{};
    std::array<std::uint64_t, 4> ends_{};
    std::map<unsigned, std::uint64_t> by_status_;
    std::uint64_t prompt_tokens_ = 0;
    std::uint64_t completion_tokens_ = 0;
};

}  // namespace weir::fake_server
