#include "shm/segment.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "shm/file_lock.hpp"
#include "shm/gauge_access.hpp"
#include "shm/lease.hpp"
#include "shm/outlook.hpp"
#include "shm/participant_impl.hpp"
#include "shm/segment_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

constexpr Units kLimitMax = StandardWindow::kUnitsMax;

void check_limit(Units limit) {
    if (limit < 1 || limit > kLimitMax)
        throw std::invalid_argument("limit: must be from 1 to 2^39 - 1");
}

/// The words of a record that is being made. `full` is 0 for a limit of this host alone.
void begin_lease(LeaseWords& lease, std::uint64_t life, Units full) noexcept {
    // ORDER(parameters): before `life`
    lease.full.store(Parameter<>::pack(life, full), std::memory_order_relaxed);
    lease.wanted.store(0, std::memory_order_relaxed);        // ORDER(parameters)
    lease.relieved.store(0, std::memory_order_relaxed);      // ORDER(parameters)
    lease.barren_until.store(0, std::memory_order_relaxed);  // ORDER(parameters)
}

/// Of a record that is being made.
template <class Record>
std::uint64_t own_life(const Record& record) noexcept {
    return record.life.load(std::memory_order_relaxed);  // ORDER(life): lock held
}

/// What a gauge's word holds for a maximum as callers say it.
constexpr Units maximum_of(Units max) noexcept {
    return max == 0 ? kNoMaximum : std::min(max, kNoMaximum);
}

/// Window limiters are reused once nothing is left in their window.
class WindowKeeper final : public RecordKeeper {
 public:
    WindowKeeper(const SegmentImpl& segment, Nanos window, Units limit, Units full) noexcept
        : segment_(segment), window_(window), limit_(limit), full_(full) {}

    bool idle(std::uint32_t index) noexcept override {
        return WindowGuard::idle(segment_.window(index), now());
    }
    bool retire(std::uint32_t index) noexcept override {
        return WindowGuard::retire(segment_.window(index), now());
    }

    void prepare(std::uint32_t index) noexcept override {
        WindowRecord& record = segment_.window(index);
        note_limit_since(record, now());
        begin_lease(record.lease, own_life(record), full_);
        WindowGuard::renew(record, TickScale(window_, StandardGeometry::kTicks), limit_, now());
    }

 private:
    const SegmentImpl& segment_;
    Nanos window_;
    Units limit_;
    Units full_;
};

/// Gauges are reused when nothing is in flight.
class GaugeKeeper final : public RecordKeeper {
 public:
    /// `full` is 0 for a gauge of this host alone.
    GaugeKeeper(const SegmentImpl& segment, Units max, Units full) noexcept
        : segment_(segment), max_(max), full_(full) {}

    bool idle(std::uint32_t index) noexcept override {
        return GaugeCells::count(segment_.gauge(index).total) == 0;
    }
    bool retire(std::uint32_t index) noexcept override {
        return GaugeCells::close(segment_.cells(segment_.gauge(index)));
    }

    /// The words that count stay as they are: they count nothing, and whoever takes a slot by an old handle
    /// gives it back (see Admitter).
    void prepare(std::uint32_t index) noexcept override {
        GaugeRecord& record = segment_.gauge(index);
        // ORDER(parameters): before `life`
        record.max.store(Parameter<>::pack(own_life(record), max_), std::memory_order_relaxed);
        begin_lease(record.lease, own_life(record), full_);
    }

 private:
    const SegmentImpl& segment_;
    Units max_;
    Units full_;
};

/// Records that are never reused: their number is that of the configuration's names.
class LastingKeeper final : public RecordKeeper {
 public:
    bool idle(std::uint32_t) noexcept override { return false; }
    bool retire(std::uint32_t) noexcept override { return false; }
    void prepare(std::uint32_t) noexcept override {}  // a record that has never lived is all zero
};

Found find_lasting(SegmentImpl& segment, Table which, const NameKey& key) {
    LastingKeeper keeper;
    return segment.find_or_make(which, key, keeper);
}

std::string role_of(const ParticipantRecord& record) {
    std::string role;
    for (const Word& word : record.role) {
        std::uint64_t bytes =
            word.load(std::memory_order_relaxed);  // ORDER(role): for display only
        for (; (bytes & 0xff) != 0; bytes >>= 8) role.push_back(static_cast<char>(bytes & 0xff));
    }
    return role;
}

void set_role(ParticipantRecord& record, std::string_view role) {
    constexpr std::size_t kBytes = sizeof(record.role);
    for (std::size_t word = 0; word * 8 < kBytes; ++word) {
        std::uint64_t bytes = 0;
        for (std::size_t i = 0; i < 8 && word * 8 + i < std::min(role.size(), kBytes); ++i) {
            bytes |= std::uint64_t{static_cast<unsigned char>(role[word * 8 + i])} << 8 * i;
        }
        record.role[word].store(bytes, std::memory_order_relaxed);  // ORDER(role): for display only
    }
}

/// Takes a slot whose last owner has left; under the directory lock, so nobody else does.
bool take_slot(SegmentImpl& segment, std::uint32_t slot, std::string_view role) {
    ParticipantRecord& record = segment.participant(slot);
    const std::uint64_t life =
        record.life.load(std::memory_order_acquire);  // ORDER(slot): release_slot
    if ((life & 0xff) == ParticipantRecord::live || segment.holds_slot(slot)) return false;
    if (!try_lock_byte(segment.file().fd(), kLockParticipants + slot)) return false;
    segment.set_slot(slot, true);
    set_role(record, role);
    record.pid.store(static_cast<std::uint64_t>(::getpid()),
                     std::memory_order_relaxed);  // ORDER(role)
    record.joined.store(static_cast<std::uint64_t>(now().count()),
                        std::memory_order_relaxed);  // ORDER(role)
    // ORDER(slot): release; whoever sees the slot live sees its lock taken.
    record.life.store(Life::pack(Life::generation_of(life) + 1, Life::live),
                      std::memory_order_release);
    return true;
}

}  // namespace

const char* unit_name(Unit unit) noexcept {
    switch (unit) {
        case Unit::requests:
            return "requests";
        case Unit::tokens:
            return "tokens";
        case Unit::input_tokens:
            return "input_tokens";
        case Unit::output_tokens:
            return "output_tokens";
    }
    return "unknown";
}

Segment::Segment(std::shared_ptr<SegmentImpl> impl) : impl_(std::move(impl)) {}
Segment::Segment(Segment&&) noexcept = default;
Segment& Segment::operator=(Segment&&) noexcept = default;
Segment::~Segment() = default;

SegmentImpl* CurrentSegment::get() const noexcept {
    SegmentImpl* at = first_.get();
    while (SegmentImpl* next = at->next()) at = next;
    return at;
}

unsigned CurrentSegment::moves() const noexcept {
    unsigned count = 0;
    for (SegmentImpl* at = first_.get()->next(); at != nullptr; at = at->next()) ++count;
    return count;
}

Segment Segment::open(const SegmentOptions& options) {
    SegmentOptions kept = options;
    kept.descriptor = -1;  // the caller's
    Segment segment(std::make_shared<SegmentImpl>(SegmentFile::open(options), kept, true));
    if (options.descriptor >= 0) segment.tend(now());
    return segment;
}

Segment Segment::attach(std::string_view name, Access access) {
    SegmentOptions options;
    options.name = name;
    options.wait_max = Nanos(0);
    return Segment(std::make_shared<SegmentImpl>(SegmentFile::attach(name, access), options, false));
}

void Segment::tend(Nanos now) noexcept {
    if (impl_->look_whole()) impl_->tend(now);
}

std::string Segment::trouble() const {
    return impl_->trouble();
}

int Segment::open_descriptor() const noexcept {
    return impl_->file().open_descriptor();
}

bool Segment::remove(std::string_view name) {
    return SegmentFile::remove(name);
}

const std::string& Segment::name() const noexcept {
    return impl_->name();
}

Participant Segment::join(std::string_view role) {
    impl_->check_writable();
    impl_->check_whole();
    impl_->tend(now());
    return Participant(join_segment(impl_->shared_from_this(), role));
}

std::unique_ptr<ParticipantImpl> join_segment(const std::shared_ptr<SegmentImpl>& impl,
                                              std::string_view role) {
    auto me = std::make_unique<ParticipantImpl>();
    const std::uint32_t slots = impl->geometry().participants;
    for (int attempt = 0; attempt < 2; ++attempt) {
        for (std::uint32_t slot = 0; attempt == 1 && slot < slots; ++slot) impl->reap_slot(slot);
        const DirectoryLock lock(*impl);
        for (std::uint32_t slot = 0; slot < slots; ++slot) {
            if (!take_slot(*impl, slot, role)) continue;
            me->segment = impl;
            me->slot = slot;
            me->born = fork_count();
            me->record = &impl->participant(slot);
            me->role = role;
            me->life = me->record->life.load(std::memory_order_relaxed);  // ORDER(slot): ours alone
            me->ring = RingWriter(impl->ring(slot), impl->geometry().ring_records, me->record->position);
            return me;
        }
    }
    throw DirectoryFull("segment '" + impl->name() + "': all " + std::to_string(slots) +
                        " participants' slots are taken; a larger segment_size has more");
}

Limiter Segment::find_limiter(const LimiterName& name, Units limit, Units full) {
    impl_->tend(now());
    const TableView& table = impl_->table(Table::windows);
    WindowKeeper keeper(*impl_, name.window, limit, full);
    const Found found =
        impl_->find_or_make(Table::windows, window_key(name, table.text_words), keeper);
    return {&impl_->window(found.record), found.life};
}

Limiter Segment::limiter(const LimiterName& name, Units limit) {
    check_limit(limit);
    const Limiter limiter = find_limiter(name, limit, 0);
    if (full_of(limiter.record->lease) != 0) share(*impl_, limiter, 0, now());
    set_limit(limiter, limit);
    return limiter;
}

Limiter Segment::shared_limiter(const LimiterName& name, Units full) {
    check_limit(full);
    const Limiter limiter = find_limiter(name, 0, full);
    if (full_of(limiter.record->lease) != full) share(*impl_, limiter, full, now());
    return limiter;
}

Limiter Segment::common_limiter(const LimiterName& name, Units limit) {
    check_limit(limit);
    const Limiter limiter = find_limiter(name, limit, 0);
    const LeaseWords& lease = limiter.record->lease;
    if (full_of(lease) != 0) {
        share(*impl_, limiter, limit, now());
    } else {
        set_limit(limiter, limit);
        // It may have become shared before this host's part was set to the whole: see Parameter::change.
        if (full_of(lease) != 0) set_lease_words(limiter, 0, now());
    }
    return limiter;
}

void Segment::set_limit(Limiter limiter, Units limit) noexcept {
    if (!limiter || limit < 1 || limit > kLimitMax) return;
    if (!still_lives(*limiter.record, limiter.generation) || limit_of(limiter.record->state) == limit) return;
    // Before and after: whoever dies in between does not leave older decisions to be judged by this limit.
    note_limit_since(*limiter.record, now());
    if (WindowGuard::set_limit(*limiter.record, limiter.generation, limit)) {
        note_limit_since(*limiter.record, now());
    }
}

Gauge Segment::find_gauge(std::string_view scope, std::string_view name, Units max, Units full) {
    impl_->tend(now());
    const TableView& table = impl_->table(Table::gauges);
    GaugeKeeper keeper(*impl_, max, full);
    const Found found =
        impl_->find_or_make(Table::gauges, scoped_key(scope, name, table.text_words), keeper);
    return {&impl_->gauge(found.record), found.life};
}

Gauge Segment::gauge(std::string_view scope, std::string_view name, Units max) {
    max = maximum_of(max);
    const Gauge gauge = find_gauge(scope, name, max, 0);
    share(*impl_, gauge, 0);
    Parameter<>::change(gauge.record->max, gauge.generation, max);
    return gauge;
}

Gauge Segment::shared_gauge(std::string_view scope, std::string_view name, Units full) {
    if (full == 0) return gauge(scope, name, 0);
    full = maximum_of(full);
    const Gauge gauge = find_gauge(scope, name, 0, full);
    share(*impl_, gauge, full);
    return gauge;
}

Gauge Segment::common_gauge(std::string_view scope, std::string_view name, Units max) {
    max = maximum_of(max);
    const Gauge gauge = find_gauge(scope, name, max, 0);
    const LeaseWords& lease = gauge.record->lease;
    if (full_of(lease) != 0) {
        share(*impl_, gauge, max);
    } else {
        Parameter<>::change(gauge.record->max, gauge.generation, max);
        if (full_of(lease) != 0) set_lease_words(gauge, 0);  // as in common_limiter
    }
    return gauge;
}

Line Segment::line(std::string_view scope, std::string_view name) {
    const TableView& table = impl_->table(Table::lines);
    const Found found = find_lasting(*impl_, Table::lines, scoped_key(scope, name, table.text_words));
    return {&impl_->line(found.record), found.life};
}

Line Segment::find_line(std::string_view scope, std::string_view name) const {
    const TableView& table = impl_->table(Table::lines);
    const auto found = find(table, scoped_key(scope, name, table.text_words));
    return found ? Line{&impl_->line(found->record), found->life} : Line{};
}

Health Segment::health(std::string_view scope, std::string_view name) {
    const TableView& table = impl_->table(Table::healths);
    const Found found = find_lasting(*impl_, Table::healths, scoped_key(scope, name, table.text_words));
    return {&impl_->health(found.record), found.life};
}

Health Segment::find_health(std::string_view scope, std::string_view name) const {
    const TableView& table = impl_->table(Table::healths);
    const auto found = find(table, scoped_key(scope, name, table.text_words));
    return found ? Health{&impl_->health(found->record), found->life} : Health{};
}

Counter Segment::counter(std::string_view name) {
    const TableView& table = impl_->table(Table::counters);
    const Found found = find_lasting(*impl_, Table::counters, plain_key(name, table.text_words));
    return {&impl_->counter(found.record), found.life};
}

void Segment::add(Counter counter, std::uint64_t amount) noexcept {
    if (!counter) return;
    counter.record->value.fetch_add(amount,
                                    std::memory_order_relaxed);  // ORDER(counter): a sum by itself
}

std::vector<LimiterInfo> Segment::limiters(Nanos now) const {
    if (impl_->broken()) return {};
    const TableView& table = impl_->table(Table::windows);
    std::vector<LimiterInfo> infos;
    for (std::uint32_t index = 0; index < table.count; ++index) {
        const auto key = read_identity(table, index);
        if (!key) continue;
        NameText text = text_of(*key, table.text_words);
        infos.push_back({std::move(text.scope), std::move(text.name), text.unit, text.window,
                         usage_of(impl_->window(index), now, true)});
    }
    return infos;
}

std::vector<ParticipantInfo> Segment::participants() const {
    if (impl_->broken()) return {};
    std::vector<ParticipantInfo> infos;
    for (std::uint32_t slot = 0; slot < impl_->geometry().participants; ++slot) {
        const ParticipantRecord& record = impl_->participant(slot);
        const std::uint64_t life =
            record.life.load(std::memory_order_acquire);  // ORDER(slot): as in take_slot
        if ((life & 0xff) != ParticipantRecord::live) continue;
        const bool alive = impl_->holds_slot(slot) ||
                           locked_by_another(impl_->file().fd(), kLockParticipants + slot);
        const std::uint64_t pid = record.pid.load(std::memory_order_relaxed);        // ORDER(role)
        const std::uint64_t joined = record.joined.load(std::memory_order_relaxed);  // ORDER(role)
        infos.push_back(
            {slot, pid, role_of(record), Nanos(static_cast<std::int64_t>(joined)), alive});
    }
    return infos;
}

std::vector<Segment::OwnCounterInfo> Segment::own_counters() const {
    std::vector<OwnCounterInfo> infos = {
#define WEIR_COUNTER(id, unit, help) {#id, unit, help, 0},
#include "shm/counters.def"
#undef WEIR_COUNTER
    };
    if (impl_->broken()) return infos;
    for (std::size_t i = 0; i < kOwnCounters; ++i) {
        infos[i].value = impl_->header().own[i].load(std::memory_order_relaxed);  // ORDER(counter)
        for (std::uint32_t slot = 0; slot < impl_->geometry().participants; ++slot) {
            infos[i].value +=
                impl_->participant(slot).own[i].load(std::memory_order_relaxed);  // ORDER(counter)
        }
    }
    return infos;
}

void Segment::each_counter(
    const std::function<void(std::string_view, std::uint64_t)>& visit) const {
    if (impl_->broken()) return;
    const TableView& table = impl_->table(Table::counters);
    for (std::uint32_t index = 0; index < table.count; ++index) {
        const auto key = read_identity(table, index);
        if (!key) continue;
        const std::uint64_t value =
            impl_->counter(index).value.load(std::memory_order_relaxed);  // ORDER(counter)
        visit(text_of(*key, table.text_words).name, value);
    }
}

}  // namespace weir::shm
