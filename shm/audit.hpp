// The auditor: replays what the flight recorder holds and says how many units each limiter really
// admitted in its worst window.
//
// Units given back count as never admitted, at the time of their charge. Charges beyond the limit
// (settled above the reservation, or reported from outside) are summed apart: they are debts, which
// the limiter itself takes into account, and no admission.
//
// Thread safety: pure functions over copies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/clock.hpp"
#include "shm/recorder.hpp"

namespace weir::shm {

/// The parameters of one window limiter, as the audit needs them.
struct AuditedLimiter {
    std::uint32_t record = 0;
    std::uint32_t generation = 0;
    Units limit = 0;
    Nanos window{};
    Nanos limit_since{};  ///< earlier decisions were made under another limit
};

/// What the audit found for one limiter.
struct AuditFinding {
    AuditedLimiter limiter;
    Units worst = 0;     ///< the most net units admitted in any window (t - window, t]
    Nanos worst_at{};    ///< the end t of that window
    Units admitted = 0;  ///< net, over the time covered
    Units beyond = 0;    ///< debts charged, net
    std::uint64_t admissions = 0;
    std::uint64_t refusals = 0;
    bool violated() const noexcept { return worst > limiter.limit; }
};

/// The merged decisions of all rings.
struct Recording {
    std::vector<Decided> decisions;  ///< sorted by time
    Nanos covered_since{};           ///< before this some ring has been overwritten
};

/// Merges copies of rings.
Recording merge(const std::vector<RingCopy>& rings);

/// Replays `recording` for each of `limiters`. Decisions of limiters that are no longer there are
/// skipped.
std::vector<AuditFinding> audit(const Recording& recording,
                                const std::vector<AuditedLimiter>& limiters);

}  // namespace weir::shm
