#include "shm/inspector.hpp"

#include <algorithm>
#include <limits>
#include <map>

#include "shm/gauge_access.hpp"
#include "shm/segment_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

Nanos nanos(const Word& word) noexcept {
    // ORDER(parameters): read after the record's life or name, whose acquire comes first.
    return Nanos(static_cast<std::int64_t>(word.load(std::memory_order_relaxed)));
}

std::uint64_t life_of(const TableView& table, std::uint32_t record) noexcept {
    // ORDER(life): acquire; pairs with the release that made the record live.
    return table.life(record).load(std::memory_order_acquire);
}

}  // namespace

SegmentInfo Inspector::info() const {
    const Header& header = segment_.impl_->header();
    const Geometry& g = segment_.impl_->geometry();
    SegmentInfo info;
    info.size_bytes = g.size_bytes;
    info.fingerprint = layout_fingerprint();
    info.created = nanos(header.created);
    info.limiters_max = g.records[0];
    info.gauges_max = g.records[1];
    info.healths_max = g.records[2];
    info.counters_max = g.records[3];
    info.lines_max = g.records[4];
    info.participants_max = g.participants;
    info.decisions_kept = g.ring_records;
    return info;
}

std::vector<GaugeInfo> Inspector::gauges() const {
    const SegmentImpl& impl = *segment_.impl_;
    const TableView& table = impl.table(Table::gauges);
    std::vector<GaugeInfo> infos;
    for (std::uint32_t record = 0; record < table.count; ++record) {
        const auto key = read_identity(table, record);
        if (!key) continue;
        NameText text = text_of(*key, table.text_words);
        const GaugeRecord& gauge = impl.gauge(record);
        const Units max = max_of(gauge);
        infos.push_back({std::move(text.scope), std::move(text.name), GaugeCells::count(gauge.total),
                         max == kNoMaximum ? 0 : max});
    }
    return infos;
}

std::vector<HealthInfo> Inspector::healths(Nanos now) const {
    const SegmentImpl& impl = *segment_.impl_;
    const TableView& table = impl.table(Table::healths);
    std::vector<HealthInfo> infos;
    for (std::uint32_t record = 0; record < table.count; ++record) {
        const auto key = read_identity(table, record);
        if (!key) continue;
        NameText text = text_of(*key, table.text_words);
        const Health health{&impl.health(record), life_of(table, record)};
        const TableView& gauges = impl.table(Table::gauges);
        const auto gauge = find(gauges, scoped_key(text.scope, text.name, gauges.text_words));
        const Units in_flight = gauge ? GaugeCells::count(impl.gauge(gauge->record).total) : 0;
        infos.push_back({std::move(text.scope), std::move(text.name), read_health(health, now),
                         learned(health), in_flight});
    }
    return infos;
}

std::vector<WaiterInfo> Inspector::waiters() const {
    const SegmentImpl& impl = *segment_.impl_;
    const TableView& table = impl.table(Table::lines);
    std::vector<WaiterInfo> infos;
    for (std::uint32_t record = 0; record < table.count; ++record) {
        const auto key = read_identity(table, record);
        if (!key) continue;
        const NameText text = text_of(*key, table.text_words);
        const auto first = infos.size();
        const Word* fronts = fronts_of(impl.line(record));
        for (std::uint32_t slot = 0; slot < impl.geometry().participants; ++slot) {
            const std::uint64_t front = fronts[slot].load(std::memory_order_acquire);  // ORDER(front)
            if (front != 0) infos.push_back({text.scope, text.name, slot, Place::unpacked(front)});
        }
        std::sort(infos.begin() + static_cast<std::ptrdiff_t>(first), infos.end(),
                  [](const auto& a, const auto& b) { return a.place.packed() < b.place.packed(); });
    }
    return infos;
}

std::vector<RingCopy> Inspector::rings(std::uint64_t count_max) const {
    const SegmentImpl& impl = *segment_.impl_;
    std::vector<RingCopy> rings;
    for (std::uint32_t slot = 0; slot < impl.geometry().participants; ++slot) {
        rings.push_back(read_ring(impl.ring(slot), impl.geometry().ring_records,
                                  impl.participant(slot).position, count_max));
    }
    return rings;
}

std::vector<DecisionInfo> Inspector::decisions(std::size_t count_max) const {
    const SegmentImpl& impl = *segment_.impl_;
    const TableView& table = impl.table(Table::windows);
    std::vector<DecisionInfo> infos;
    std::uint32_t slot = 0;
    for (const RingCopy& ring : rings(count_max)) {
        for (const Decided& decided : ring.decisions) infos.push_back({decided, slot, {}});
        ++slot;
    }
    std::stable_sort(infos.begin(), infos.end(), [](const DecisionInfo& a, const DecisionInfo& b) {
        return a.decided.time_ns < b.decided.time_ns;
    });
    if (infos.size() > count_max)
        infos.erase(infos.begin(), infos.end() - static_cast<std::ptrdiff_t>(count_max));
    for (DecisionInfo& info : infos) {
        if (info.decided.record >= table.count) continue;
        if (Life::generation_of(life_of(table, info.decided.record)) != info.decided.generation)
            continue;
        const auto key = read_identity(table, info.decided.record);
        if (!key) continue;
        const NameText text = text_of(*key, table.text_words);
        info.limiter = text.scope + ':' + text.name + ' ' + unit_name(text.unit);
    }
    return infos;
}

AuditReport Inspector::audit() const {
    const SegmentImpl& impl = *segment_.impl_;
    const TableView& table = impl.table(Table::windows);
    const Recording recording = merge(rings(std::numeric_limits<std::uint64_t>::max()));
    std::vector<AuditedLimiter> limiters;
    std::vector<NameText> names;
    for (std::uint32_t record = 0; record < table.count; ++record) {
        const auto key = read_identity(table, record);
        if (!key) continue;
        const WindowRecord& window = impl.window(record);
        AuditedLimiter limiter;
        limiter.record = record;
        limiter.generation =
            static_cast<std::uint32_t>(Life::generation_of(life_of(table, record)));
        limiter.limit = limit_of(window.state);
        // This host's part of a shared limit changes all the time; the whole is what it must never pass.
        if (const Units full = full_of(window.lease)) limiter.limit = full;
        limiter.limit_since = nanos(window.limit_since);
        names.push_back(text_of(*key, table.text_words));
        limiter.window = names.back().window;
        limiters.push_back(limiter);
    }
    AuditReport report;
    report.decisions = recording.decisions.size();
    report.covered_since = recording.covered_since;
    if (!recording.decisions.empty()) {
        report.covered_until = Nanos(static_cast<std::int64_t>(recording.decisions.back().time_ns));
    }
    for (const AuditFinding& finding : weir::shm::audit(recording, limiters)) {
        NameText& text = names[report.limiters.size()];
        report.violated = report.violated || finding.violated();
        report.limiters.push_back(
            {finding, std::move(text.scope), std::move(text.name), text.unit});
    }
    return report;
}

}  // namespace weir::shm
