#include "shm/lease.hpp"

#include <algorithm>
#include <optional>

#include "shm/file_lock.hpp"
#include "shm/gauge_access.hpp"
#include "shm/segment_impl.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;  // ORDER(lease): a name for the lines below

Nanos nanos(const Word& word) noexcept {
    return Nanos(static_cast<std::int64_t>(word.load(kRelaxed)));  // ORDER(lease): each word by itself
}

void put(Word& word, Nanos time) noexcept {
    word.store(static_cast<std::uint64_t>(time.count()), kRelaxed);  // ORDER(lease)
}

/// Also while it is being looked at for eviction: should it be in use after all, its lease holds as before.
bool lives(const SharedLimit& limit) noexcept {
    if (limit.window != Nanos(0)) {
        return limit.limiter && same_life(*limit.limiter.record, limit.limiter.generation);
    }
    return limit.gauge && same_life(*limit.gauge.record, limit.gauge.generation);
}

LeaseWords& words_of(const SharedLimit& limit) noexcept {
    return limit.window != Nanos(0) ? limit.limiter.record->lease : limit.gauge.record->lease;
}

/// Hands a limit that was `before` on, if it has been lowered: whoever has looked at the one before looks
/// again. False if `before` is none.
bool hand_on(Limiter limiter, std::optional<Units> before, Units now_is, Nanos now) noexcept {
    Contention contention;
    if (before && now_is < *before) {
        WindowGuard::supersede(*limiter.record, limiter.generation, now, contention);
    }
    return before.has_value();
}

bool hand_on(Gauge gauge, std::optional<Units> before, Units now_is) noexcept {
    if (!before || now_is >= *before) return before.has_value();
    // ORDER(gauge): release; a slot that is taken after this one sees the new maximum when it looks again
    // (take_once), and one taken before shows in the count that is read after this.
    Word& word = gauge.record->total;
    std::uint64_t total = word.load(kRelaxed);
    while (!word.cas(total, total, std::memory_order_acq_rel, kRelaxed)) {  // ORDER(gauge)
    }
    return true;
}

// Places: the windows' records, and behind them the gauges'.

bool is_window(const SegmentImpl& segment, std::size_t place) noexcept {
    return place < segment.table(Table::windows).count;
}

std::uint32_t index_of(const SegmentImpl& segment, std::size_t place) noexcept {
    const std::size_t first = is_window(segment, place) ? 0 : segment.table(Table::windows).count;
    return static_cast<std::uint32_t>(place - first);
}

/// Every record of both tables that has ever been used.
template <class Visit>
void each_record(const SegmentImpl& segment, const Visit& visit) {
    std::size_t first = 0;
    for (const Table which : {Table::windows, Table::gauges}) {
        const std::size_t count = segment.table(which).count;
        const TableRecord& record = segment.header().tables[static_cast<std::size_t>(which)];
        // ORDER(counter): who is seen too late has counted a change by then, and is seen at the next look
        const std::size_t used = std::min<std::size_t>(count, record.fresh.load(kRelaxed));
        for (std::size_t index = 0; index < used; ++index) visit(first + index);
        first += count;
    }
}

/// The generation of a handle for the shared limit at `place`; 0 if there is none. Also while it is being
/// looked at for eviction.
std::uint64_t shared_life(SegmentImpl& segment, std::size_t place) noexcept {
    const std::uint32_t index = index_of(segment, place);
    const bool window = is_window(segment, place);
    const TableView& table = segment.table(window ? Table::windows : Table::gauges);
    const std::uint64_t life = table.life(index).load(std::memory_order_acquire);  // ORDER(life): first
    if (!has_name(life)) return 0;
    const LeaseWords& lease = window ? segment.window(index).lease : segment.gauge(index).lease;
    return full_of(lease) == 0 ? 0 : Life::pack(Life::generation_of(life), Life::live);
}

std::optional<SharedLimit> limit_at(SegmentImpl& segment, std::size_t place) {
    const std::uint64_t life = shared_life(segment, place);
    if (life == 0) return std::nullopt;
    const std::uint32_t index = index_of(segment, place);
    const bool window = is_window(segment, place);
    const TableView& table = segment.table(window ? Table::windows : Table::gauges);
    const auto key = read_identity(table, index);
    if (!key) return std::nullopt;
    NameText text = text_of(*key, table.text_words);
    SharedLimit limit;
    limit.scope = std::move(text.scope);
    limit.name = std::move(text.name);
    if (window) {
        limit.unit = text.unit;
        limit.window = text.window;
        limit.limiter = Limiter{&segment.window(index), life};
    } else {
        limit.gauge = Gauge{&segment.gauge(index), life};
    }
    return limit;
}

/// Changes when some limit has come, gone, become shared or ceased to be.
std::uint64_t changes_of(const SegmentImpl& segment) noexcept {
    const Header& header = segment.header();
    std::uint64_t sum = header.lease_changes.load(kRelaxed);  // ORDER(counter): sums, read by themselves
    for (const Table table : {Table::windows, Table::gauges}) {
        const TableRecord& record = header.tables[static_cast<std::size_t>(table)];
        sum += record.fresh.load(kRelaxed) + record.evictions.load(kRelaxed);  // ORDER(counter)
    }
    return sum;
}

/// Some limit has become shared, or has ceased to be.
void count_change(SegmentImpl& segment) noexcept {
    segment.header().lease_changes.fetch_add(1, kRelaxed);  // ORDER(counter)
}

LeaseMode mode_of(std::uint64_t word) noexcept {
    return word <= static_cast<std::uint64_t>(LeaseMode::open) ? static_cast<LeaseMode>(word)
                                                               : LeaseMode::local;
}

}  // namespace

std::string_view to_string(LeaseMode mode) noexcept {
    switch (mode) {
        case LeaseMode::local:
            return "local";
        case LeaseMode::shared:
            return "shared";
        case LeaseMode::share:
            return "share";
        case LeaseMode::closed:
            return "closed";
        case LeaseMode::open:
            return "open";
    }
    return "unknown";
}

LeaseBoard::LeaseBoard(const Segment& segment) : segment_(SegmentAccess::impl(segment)) {}

LeaseBoard::~LeaseBoard() {
    if (leads_) unlock_byte(segment_->file().fd(), kLockCoordinator);
}

bool LeaseBoard::lead() noexcept {
    if (!leads_) leads_ = try_lock_byte(segment_->file().fd(), kLockCoordinator);
    return leads_;
}

std::uint64_t LeaseBoard::host(std::uint64_t proposed) noexcept {
    Word& host = segment_->header().host;
    std::uint64_t found = 0;
    // ORDER(lease): a number that is set once; nothing else depends on it.
    return host.cas(found, proposed, kRelaxed, kRelaxed) ? proposed : found;
}

LeaseContact LeaseBoard::contact() const noexcept {
    const LeaseContactRecord& record = segment_->header().contact;
    LeaseContact contact;
    contact.mode = mode_of(record.mode.load(kRelaxed));  // ORDER(lease): for each word, the latest will do
    contact.until = nanos(record.until);
    contact.answered = nanos(record.answered);
    contact.seen = nanos(record.seen);
    contact.incarnation = record.incarnation.load(kRelaxed);  // ORDER(lease)
    contact.sequence = record.sequence.load(kRelaxed);        // ORDER(lease)
    contact.sent = record.sent.load(kRelaxed);                // ORDER(lease)
    contact.hosts = record.hosts.load(kRelaxed);              // ORDER(lease)
    return contact;
}

void LeaseBoard::set_contact(const LeaseContact& contact) noexcept {
    LeaseContactRecord& record = segment_->header().contact;
    put(record.until, contact.until);
    put(record.answered, contact.answered);
    put(record.seen, contact.seen);
    record.incarnation.store(contact.incarnation, kRelaxed);  // ORDER(lease): as in contact()
    record.sequence.store(contact.sequence, kRelaxed);        // ORDER(lease)
    record.sent.store(contact.sent, kRelaxed);                // ORDER(lease)
    record.hosts.store(contact.hosts, kRelaxed);              // ORDER(lease)
    set_mode(contact.mode);
}

LeaseMode LeaseBoard::mode() const noexcept {
    return mode_of(segment_->header().contact.mode.load(kRelaxed));  // ORDER(lease): as in contact()
}

void LeaseBoard::set_mode(LeaseMode mode) noexcept {
    // ORDER(lease): as in contact()
    segment_->header().contact.mode.store(static_cast<std::uint64_t>(mode), kRelaxed);
}

Nanos LeaseBoard::guard() const noexcept {
    return nanos(segment_->header().lease_guard);
}

void LeaseBoard::set_guard(Nanos until) noexcept {
    put(segment_->header().lease_guard, until);
}

std::vector<SharedLimit> LeaseBoard::limits() const {
    std::vector<SharedLimit> limits;
    each_record(*segment_, [&](std::size_t place) {
        if (auto limit = limit_at(*segment_, place)) limits.push_back(std::move(*limit));
    });
    return limits;
}

LeaseReading LeaseBoard::read(const SharedLimit& limit, Nanos now) const noexcept {
    LeaseReading reading;
    if (!lives(limit)) return reading;
    const LeaseWords& lease = words_of(limit);
    // ORDER(lease): two sums; read in this order, a request that begins and ends in between counts for
    // nothing.
    reading.relieved = lease.relieved.load(kRelaxed);
    reading.wanted = lease.wanted.load(kRelaxed);  // ORDER(lease)
    if (limit.window == Nanos(0)) {
        reading.lease = max_of(*limit.gauge.record);
        reading.used = GaugeCells::count(limit.gauge.record->total);
    } else {
        const WindowRecord& record = *limit.limiter.record;
        const std::uint64_t tick = RecordTicks(record).at(now);
        if (!sane(record, tick)) return reading;
        const Usage usage = StandardWindow::look(record.state, tick);
        reading.lease = usage.limit;
        reading.used = usage.used;
        reading.charged = StandardWindow::charged(record.state);
    }
    reading.full = full_of(lease);
    return reading;
}

std::uint64_t LeaseBoard::wanted(const SharedLimit& limit) const noexcept {
    return lives(limit) ? words_of(limit).wanted.load(kRelaxed) : 0;  // ORDER(lease): as in read()
}

bool LeaseBoard::set_lease(const SharedLimit& limit, Units lease, Nanos now) noexcept {
    if (!lives(limit)) return false;
    const Units full = full_of(words_of(limit));
    if (full == 0) return false;  // it has become this host's own meanwhile
    lease = std::min(lease, full);
    return limit.window == Nanos(0) ? set_lease_words(limit.gauge, lease)
                                    : set_lease_words(limit.limiter, lease, now);
}

void LeaseBoard::lower_lease(const SharedLimit& limit, Units lease, Nanos now) noexcept {
    if (!lives(limit)) return;
    if (limit.window == Nanos(0)) {
        lower_lease_words(limit.gauge, lease);
    } else {
        lower_lease_words(limit.limiter, lease, now);
    }
}

void LeaseBoard::set_barren(const SharedLimit& limit, Nanos until) noexcept {
    if (lives(limit)) put(words_of(limit).barren_until, until);
}

std::uint64_t LeaseBoard::grants() const noexcept {
    return segment_->header().lease_grants.load(std::memory_order_acquire);  // ORDER(grants): see below
}

void LeaseBoard::count_grant() noexcept {
    // ORDER(grants): release; who sees the count sees the leases that were raised before it.
    segment_->header().lease_grants.fetch_add(1, std::memory_order_release);
}

LimitWatch::LimitWatch(const LeaseBoard& board) : segment_(board.segment_) {}

std::vector<LimitWatch::Change> LimitWatch::look() {
    std::vector<Change> changes;
    const std::uint64_t version = changes_of(*segment_);
    if (looked_ && version == version_) return changes;
    looked_ = true;
    version_ = version;  // read before: what changes meanwhile is looked at once more
    known_.resize(segment_->table(Table::windows).count + segment_->table(Table::gauges).count);
    each_record(*segment_, [&](std::size_t place) {
        const std::uint64_t life = shared_life(*segment_, place);
        std::uint64_t& known = known_[place];
        if (life == known) return;
        if (known != 0) changes.push_back({place, std::nullopt});
        known = 0;
        if (life == 0) return;
        auto limit = limit_at(*segment_, place);
        if (!limit) return;
        known = limit->window != Nanos(0) ? limit->limiter.generation : limit->gauge.generation;
        changes.push_back({place, std::move(limit)});
    });
    return changes;
}

Shortage::Shortage(Limiter limiter, Units units) noexcept {
    if (!limiter || !still_lives(*limiter.record, limiter.generation)) return;
    set(limiter.record->lease, limiter.record->state.limit, units);
}

Shortage::Shortage(Gauge gauge) noexcept {
    if (gauge) set(gauge.record->lease, gauge.record->max, 1);
}

void Shortage::set(LeaseWords& words, const Word& lease, Units units) noexcept {
    if (units > full_of(words)) return;
    words_ = &words;
    lease_ = &lease;
    units_ = units;
}

bool Shortage::barren(Nanos now) const noexcept {
    if (nanos(words_->barren_until) > now) return true;
    return Parameter<>::value_of(lease_->load(kRelaxed)) >= full_of(*words_);  // ORDER(limit): on its own
}

void Shortage::want() const noexcept {
    words_->wanted.fetch_add(units_, kRelaxed);  // ORDER(lease): a sum that the coordinator reads, whenever
}

void Shortage::relieve() const noexcept {
    words_->relieved.fetch_add(units_, kRelaxed);  // ORDER(lease): likewise
}

bool set_lease_words(Limiter limiter, Units lease, Nanos now) noexcept {
    const auto before = WindowGuard::set_limit(*limiter.record, limiter.generation, lease);
    return hand_on(limiter, before, lease, now);
}

bool set_lease_words(Gauge gauge, Units lease) noexcept {
    return hand_on(gauge, Parameter<>::change(gauge.record->max, gauge.generation, lease), lease);
}

bool lower_lease_words(Limiter limiter, Units lease, Nanos now) noexcept {
    const auto before = WindowGuard::lower_limit(*limiter.record, limiter.generation, lease);
    return hand_on(limiter, before, lease, now);
}

bool lower_lease_words(Gauge gauge, Units lease) noexcept {
    return hand_on(gauge, Parameter<>::lower(gauge.record->max, gauge.generation, lease), lease);
}

void share(SegmentImpl& segment, Limiter limiter, Units full, Nanos now) noexcept {
    const auto before = Parameter<>::change(limiter.record->lease.full, limiter.generation, full);
    if (!before || *before == full) return;  // evicted meanwhile, as any handle may be
    note_limit_since(*limiter.record, now);
    // What was this host's own is now everybody's: it starts with nothing, and what it has used counts.
    // And of one that has become smaller nobody has more than all of it.
    if (*before == 0) set_lease_words(limiter, 0, now);
    if (full != 0) lower_lease_words(limiter, full, now);
    if (*before == 0 || full == 0) count_change(segment);
}

void share(SegmentImpl& segment, Gauge gauge, Units full) noexcept {
    const auto before = Parameter<>::change(gauge.record->lease.full, gauge.generation, full);
    if (!before || *before == full) return;
    if (*before == 0) set_lease_words(gauge, 0);
    if (full != 0) lower_lease_words(gauge, full);
    if (*before == 0 || full == 0) count_change(segment);
}

}  // namespace weir::shm
