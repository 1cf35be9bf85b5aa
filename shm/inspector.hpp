// A segment as tools see it: everything that can be read without writing.
//
// Not part of the installed package. Thread and process safety: all of it; what is returned is a
// copy, consistent for each entry and not across entries.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/audit.hpp"
#include "shm/health.hpp"
#include "shm/line.hpp"
#include "shm/segment.hpp"

namespace weir::shm {

struct GaugeInfo {
    std::string scope;
    std::string name;
    Units in_flight = 0;
    Units max = 0;  ///< 0: none
};

/// The first in a waiting line of those that wait in one participant.
struct WaiterInfo {
    std::string scope;
    std::string name;
    std::uint32_t participant = 0;
    Place place;
};

struct HealthInfo {
    std::string scope;
    std::string name;
    HealthSnapshot health;
    LearnedEstimate learned;
    Units in_flight = 0;  ///< by the gauge of the same scope and name, if there is one
};

/// A decision with its participant and the limiter's name, if that is still there.
struct DecisionInfo {
    Decided decided;
    std::uint32_t participant = 0;
    std::string limiter;
};

/// An audited limiter with its name.
struct AuditInfo {
    AuditFinding finding;
    std::string scope;
    std::string name;
    Unit unit = Unit::requests;
};

struct AuditReport {
    std::vector<AuditInfo> limiters;
    std::uint64_t decisions = 0;
    Nanos covered_since{};  ///< 0: since the segment was made
    Nanos covered_until{};
    bool violated = false;
};

/// What the segment is.
struct SegmentInfo {
    std::uint64_t size_bytes = 0;
    std::uint64_t fingerprint = 0;
    Nanos created{};
    std::uint64_t limiters_max = 0;
    std::uint64_t gauges_max = 0;
    std::uint64_t healths_max = 0;
    std::uint64_t counters_max = 0;
    std::uint64_t lines_max = 0;
    std::uint64_t participants_max = 0;
    std::uint64_t decisions_kept = 0;  ///< per participant
};

class Inspector {
 public:
    /// `segment` must outlive the inspector.
    explicit Inspector(const Segment& segment) noexcept : segment_(segment) {}

    SegmentInfo info() const;
    std::vector<GaugeInfo> gauges() const;
    std::vector<HealthInfo> healths(Nanos now) const;

    /// Line by line, in the order in which they are to be served.
    std::vector<WaiterInfo> waiters() const;

    /// The last `count_max` decisions of all participants, oldest first.
    std::vector<DecisionInfo> decisions(std::size_t count_max) const;

    /// Replays everything recorded.
    AuditReport audit() const;

 private:
    std::vector<RingCopy> rings(std::uint64_t count_max) const;

    const Segment& segment_;
};

}  // namespace weir::shm
