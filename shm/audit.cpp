#include "shm/audit.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace weir::shm {

namespace {

/// Net units at one instant.
struct Event {
    std::uint64_t time_ns;
    std::int64_t units;
};

/// Whether a record's time is that of its writing; what is given back carries the time of its
/// charge.
bool is_timely(const Decided& decided) noexcept {
    return decided.kind != Recorded::give_back && decided.kind != Recorded::give_back_charge;
}

void add_worst_window(const std::vector<Event>& events, AuditFinding& finding) {
    const auto window = static_cast<std::uint64_t>(finding.limiter.window.count());
    std::int64_t sum = 0;
    std::size_t first = 0;
    for (std::size_t last = 0; last < events.size(); ++last) {
        sum += events[last].units;
        while (first < last && events[last].time_ns - events[first].time_ns >= window) {
            sum -= events[first++].units;
        }
        // Only at the end of an instant: what was given back there is subtracted by then.
        const bool ended =
            last + 1 == events.size() || events[last + 1].time_ns != events[last].time_ns;
        if (ended && sum > static_cast<std::int64_t>(finding.worst)) {
            finding.worst = static_cast<Units>(sum);
            finding.worst_at = Nanos(static_cast<std::int64_t>(events[last].time_ns));
        }
    }
}

AuditFinding replay(const AuditedLimiter& limiter, const std::vector<const Decided*>& decisions,
                    Nanos covered_since) {
    AuditFinding finding;
    finding.limiter = limiter;
    const auto since =
        static_cast<std::uint64_t>(std::max(covered_since, limiter.limit_since).count());
    std::vector<Event> events;
    std::int64_t admitted = 0;
    std::int64_t beyond = 0;
    for (const Decided* decided : decisions) {
        if (decided->time_ns < since) continue;
        // No limit is larger than 2^39, so no honest record holds more.
        const auto units =
            static_cast<std::int64_t>(std::min<Units>(decided->units, Units{1} << 40));
        switch (decided->kind) {
            case Recorded::admit:
                events.push_back({decided->time_ns, units});
                admitted += units;
                ++finding.admissions;
                break;
            case Recorded::give_back:
                events.push_back({decided->time_ns, -units});
                admitted -= units;
                break;
            case Recorded::refuse:
                finding.refusals += decided->units;
                break;
            case Recorded::charge:
                beyond += units;
                break;
            case Recorded::give_back_charge:
                beyond -= units;
                break;
        }
    }
    finding.admitted = static_cast<Units>(std::max<std::int64_t>(admitted, 0));
    finding.beyond = static_cast<Units>(std::max<std::int64_t>(beyond, 0));
    add_worst_window(events, finding);
    return finding;
}

}  // namespace

Recording merge(const std::vector<RingCopy>& rings) {
    Recording recording;
    for (const RingCopy& ring : rings) {
        const auto first = std::find_if(ring.decisions.begin(), ring.decisions.end(), is_timely);
        if (ring.overwritten && first != ring.decisions.end()) {
            const auto oldest = Nanos(static_cast<std::int64_t>(first->time_ns) + 1);
            recording.covered_since = std::max(recording.covered_since, oldest);
        }
        recording.decisions.insert(recording.decisions.end(), ring.decisions.begin(),
                                   ring.decisions.end());
    }
    std::stable_sort(recording.decisions.begin(), recording.decisions.end(),
                     [](const Decided& a, const Decided& b) { return a.time_ns < b.time_ns; });
    return recording;
}

std::vector<AuditFinding> audit(const Recording& recording,
                                const std::vector<AuditedLimiter>& limiters) {
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<const Decided*>> by_limiter;
    for (const Decided& decided : recording.decisions) {
        by_limiter[{decided.record, decided.generation}].push_back(&decided);
    }
    std::vector<AuditFinding> findings;
    for (const AuditedLimiter& limiter : limiters) {
        const auto found = by_limiter.find({limiter.record, limiter.generation});
        findings.push_back(found == by_limiter.end()
                               ? AuditFinding{limiter, 0, {}, 0, 0, 0, 0}
                               : replay(limiter, found->second, recording.covered_since));
    }
    return findings;
}

}  // namespace weir::shm
