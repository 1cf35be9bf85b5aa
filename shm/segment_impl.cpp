#include "shm/segment_impl.hpp"

#include <fmt/format.h>

#include "shm/file_lock.hpp"
#include "shm/move.hpp"

namespace weir::shm {

namespace {

constexpr const char* kTableNames[kTables] = {"window limiters", "gauges", "health records",
                                              "counters", "waiting lines"};

TableView view_of(std::byte* data, const Geometry& g, Table which, std::uint64_t stride,
                  std::uint64_t identity_at, std::size_t text_words) {
    const auto table = static_cast<std::size_t>(which);
    TableView view;
    view.index = reinterpret_cast<Word*>(data + g.index_at[table]);
    view.index_words = g.index_words[table];
    view.records = data + g.records_at[table];
    view.count = g.records[table];
    view.stride = stride;
    view.identity_at = identity_at;
    view.text_words = text_words;
    return view;
}

}  // namespace

SegmentImpl::SegmentImpl(SegmentFile file, SegmentOptions options, bool follows)
    : file_(std::move(file)), options_(std::move(options)), follows_(follows), born_(fork_count()) {
    const Geometry& g = geometry();
    std::byte* data = file_.data();
    tables_[0] = view_of(data, g, Table::windows, sizeof(WindowRecord),
                         offsetof(WindowRecord, identity), 29);
    tables_[1] =
        view_of(data, g, Table::gauges, g.gauge_stride, offsetof(GaugeRecord, identity), 29);
    tables_[2] = view_of(data, g, Table::healths, sizeof(HealthRecord),
                         offsetof(HealthRecord, identity), 37);
    tables_[3] = view_of(data, g, Table::counters, sizeof(CounterRecord),
                         offsetof(CounterRecord, identity), NameKey::kWordsMax);
    tables_[4] = view_of(data, g, Table::lines, g.line_stride, offsetof(LineRecord, identity), 29);
}

SegmentImpl::~SegmentImpl() = default;

ParticipantRecord& SegmentImpl::participant(std::uint32_t slot) const noexcept {
    return reinterpret_cast<ParticipantRecord*>(file_.data() + geometry().participants_at)[slot];
}

RingRecord* SegmentImpl::ring(std::uint32_t slot) const noexcept {
    const std::uint64_t first = std::uint64_t{slot} * geometry().ring_records;
    return reinterpret_cast<RingRecord*>(file_.data() + geometry().rings_at) + first;
}

WindowRecord& SegmentImpl::window(std::uint32_t record) const noexcept {
    return *reinterpret_cast<WindowRecord*>(table(Table::windows).records +
                                            sizeof(WindowRecord) * record);
}

GaugeRecord& SegmentImpl::gauge(std::uint32_t record) const noexcept {
    return *reinterpret_cast<GaugeRecord*>(table(Table::gauges).records +
                                           geometry().gauge_stride * record);
}

HealthRecord& SegmentImpl::health(std::uint32_t record) const noexcept {
    return *reinterpret_cast<HealthRecord*>(table(Table::healths).records +
                                            sizeof(HealthRecord) * record);
}

CounterRecord& SegmentImpl::counter(std::uint32_t record) const noexcept {
    return *reinterpret_cast<CounterRecord*>(table(Table::counters).records +
                                             sizeof(CounterRecord) * record);
}

LineRecord& SegmentImpl::line(std::uint32_t record) const noexcept {
    return *reinterpret_cast<LineRecord*>(table(Table::lines).records + geometry().line_stride * record);
}

std::uint32_t SegmentImpl::index_of(const WindowRecord& record) const noexcept {
    const auto* first = reinterpret_cast<const WindowRecord*>(table(Table::windows).records);
    return static_cast<std::uint32_t>(&record - first);
}

GaugeCells::View SegmentImpl::cells(GaugeRecord& record) const noexcept {
    return {record.total, reinterpret_cast<Word*>(&record + 1), geometry().participants};
}

bool SegmentImpl::ours() const noexcept {
    return born_ == fork_count();
}

void SegmentImpl::check_writable() const {
    if (!file_.writable()) {
        throw SegmentError(Attach::no_permission,
                           fmt::format("segment '{}': attached for reading only", options_.name));
    }
    if (!ours()) {
        throw SegmentError(
            Attach::failed,
            fmt::format("segment '{}': opened by the parent process; after fork() the child "
                        "must open its own",
                        options_.name));
    }
}

bool SegmentImpl::holds_slot(std::uint32_t slot) const noexcept {
    // ORDER(slots): within the process; pairs with set_slot.
    return (slots_[slot / 64].load(std::memory_order_acquire) >> slot % 64 & 1) != 0;
}

void SegmentImpl::set_slot(std::uint32_t slot, bool held) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    if (held) {
        slots_[slot / 64].fetch_or(bit, std::memory_order_release);  // ORDER(slots): see holds_slot
    } else {
        slots_[slot / 64].fetch_and(~bit, std::memory_order_release);  // ORDER(slots)
    }
}

void SegmentImpl::release_slot(std::uint32_t slot) noexcept {
    // Whatever state they are in: a slot may have been taken by the handle of an evicted gauge just now.
    for (std::uint32_t record = 0; record < table(Table::gauges).count; ++record) {
        GaugeCells::clear_share(cells(gauge(record)), slot);
    }
    clear_fronts(*this, slot);
    ParticipantRecord& own = participant(slot);
    const std::uint64_t life = own.life.load(std::memory_order_relaxed);  // ORDER(slot): ours alone
    // ORDER(slot): release; whoever takes the slot next sees its shares cleared.
    own.life.store(
        Life::pack(Life::generation_of(life), static_cast<Life::State>(ParticipantRecord::left)),
        std::memory_order_release);
}

bool SegmentImpl::reap_slot(std::uint32_t slot) noexcept {
    ParticipantRecord& record = participant(slot);
    // ORDER(slot): acquire; pairs with join() and release_slot().
    if ((record.life.load(std::memory_order_acquire) & 0xff) != ParticipantRecord::live)
        return false;
    if (holds_slot(slot) || locked_by_another(file_.fd(), kLockParticipants + slot)) return false;
    const DirectoryLock lock(*this, std::try_to_lock);
    if (!lock) return false;
    // Under the lock nobody joins, so what is dead now stays dead until we are done.
    if ((record.life.load(std::memory_order_acquire) & 0xff) != ParticipantRecord::live)
        return false;  // ORDER(slot)
    if (holds_slot(slot) || locked_by_another(file_.fd(), kLockParticipants + slot)) return false;
    release_slot(slot);
    count(OwnCounter::reaped);
    return true;
}

bool SegmentImpl::look_whole() noexcept {
    if (!broken() && file_.whole()) return true;
    broken_.store(true, std::memory_order_relaxed);  // ORDER(broken): likewise
    return false;
}

void SegmentImpl::check_whole() {
    if (look_whole()) return;
    throw SegmentError(Attach::too_short,
                       fmt::format("segment '{}': its file has been truncated while in use; restart the "
                                   "programs that use it",
                                   options_.name));
}

void SegmentImpl::fail_left() const {
    const std::string why = trouble();
    throw SegmentError(Attach::not_ready,
                       fmt::format("segment '{}': its name leads to another one, and this is being left{}",
                                   options_.name, why.empty() ? "" : "; " + why));
}

std::string SegmentImpl::trouble() const {
    const std::lock_guard lock(moving_mutex_);
    return trouble_;
}

namespace {

/// Whether `last` is so long ago; then the caller is the one who looks, for all threads.
bool is_due(Word& last, Nanos at, Nanos every) noexcept {
    const auto time = static_cast<std::uint64_t>(at.count());
    std::uint64_t found = last.load(std::memory_order_relaxed);  // ORDER(look): a time, by itself
    if (found <= time && time - found < static_cast<std::uint64_t>(every.count())) return false;
    // ORDER(look): likewise
    return last.cas(found, time, std::memory_order_relaxed, std::memory_order_relaxed);
}

}  // namespace

void SegmentImpl::tend(Nanos now) noexcept {
    constexpr Nanos kEvery = std::chrono::milliseconds(200);
    constexpr Nanos kSoon = std::chrono::milliseconds(20);
    if (!follows_ || !usable() || !ours()) return;
    // Somebody else has begun to leave it: at once, for names are found only in the next one.
    if (being_left() && is_due(left_at_, now, kSoon)) return leave_for_named(now);
    if (!is_due(tended_, now, kEvery)) return;
    if (file_.fd() < 0) mend();
    if (!file_.named()) leave_for_named(now);
}

/// The application has closed the lock's descriptor, and with it all that was locked.
void SegmentImpl::mend() noexcept {
    const std::lock_guard lock(moving_mutex_);
    if (!file_.reopen()) return;
    for (std::uint32_t slot = 0; slot < geometry().participants; ++slot) {
        if (holds_slot(slot)) try_lock_byte(file_.fd(), kLockParticipants + slot);
    }
}

void SegmentImpl::leave_for_named(Nanos now) noexcept {
    const std::unique_lock lock(moving_mutex_, std::try_to_lock);
    if (!lock || next() != nullptr) return;
    try {
        SegmentOptions options = options_;
        options.descriptor = -1;
        options.size_bytes = geometry().size_bytes;
        // Nobody here has time: the next look tries again.
        options.wait_max = std::chrono::milliseconds(20);
        auto file = SegmentFile::open(options, false);
        if (file.identity() != file_.identity()) {
            options.wait_max = options_.wait_max;
            move_to(std::make_shared<SegmentImpl>(std::move(file), options, true), now);
        }
        trouble_.clear();
    } catch (const std::exception& error) {
        trouble_ = error.what();
    }
}

void SegmentImpl::move_to(const std::shared_ptr<SegmentImpl>& to, Nanos now) {
    std::uint64_t nobody = 0;
    // ORDER(successor): release: whoever sees the mark makes no more names here; acquire: what was made
    // before the mark is found.
    header().successor.cas(nobody, to->file().identity().inode, std::memory_order_acq_rel,
                           std::memory_order_acquire);  // ORDER(successor): marked by another process
    close_gauges(*this);
    move_windows(*this, to, now);
    to->count(OwnCounter::moves);
    file_.leave_name();
    next_owned_ = to;
    next_.store(to.get(), std::memory_order_release);  // ORDER(successor): see next()
}

void SegmentImpl::count(OwnCounter counter, std::uint64_t amount) const noexcept {
    // ORDER(counter): a sum, read by itself.
    header().own[static_cast<std::size_t>(counter)].fetch_add(amount, std::memory_order_relaxed);
}

Found SegmentImpl::find_or_make(Table which, const NameKey& key, RecordKeeper& keeper) {
    check_writable();
    const TableView& view = table(which);
    if (!broken()) {
        if (const auto found = find(view, key)) return *found;
    }
    check_whole();
    if (being_left()) fail_left();
    const DirectoryLock lock(*this);
    TableRecord& own = header().tables[static_cast<std::size_t>(which)];
    const std::uint64_t before = own.evictions.load(std::memory_order_relaxed);  // ORDER(counter)
    DirectoryWriter writer(header(), which, view);
    const auto made = writer.make(key, keeper, static_cast<std::uint64_t>(now().count()));
    const std::uint64_t after = own.evictions.load(std::memory_order_relaxed);  // ORDER(counter)
    if (after != before) count(OwnCounter::evictions, after - before);
    // ORDER(successor): a read-modify-write, as the mark is set by one: either whoever marks finds the record
    // that was made, or the mark is seen here.
    if (header().successor.fetch_add(0, std::memory_order_acq_rel) != 0) fail_left();
    if (made) return *made;
    count(OwnCounter::directory_full);
    throw DirectoryFull(
        fmt::format("segment '{}': no place for '{}': all {} {} are in use; a larger "
                    "segment_size holds more",
                    options_.name, text_of(key, view.text_words).name, view.count,
                    kTableNames[static_cast<std::size_t>(which)]));
}

DirectoryLock::DirectoryLock(SegmentImpl& segment)
    : segment_(segment), threads_(segment.directory_mutex_) {
    if (!lock_byte(segment.file_.fd(), kLockDirectory, segment.options_.wait_max)) {
        throw SegmentError(
            Attach::not_ready,
            fmt::format("segment '{}': another process holds the directory for more than {} "
                        "ms; is it stopped?",
                        segment.options_.name, segment.options_.wait_max / std::chrono::milliseconds(1)));
    }
    held_ = true;
    tidy();
}

DirectoryLock::DirectoryLock(SegmentImpl& segment, std::try_to_lock_t) noexcept
    : segment_(segment), threads_(segment.directory_mutex_, std::try_to_lock) {
    held_ = threads_.owns_lock() && try_lock_byte(segment.file_.fd(), kLockDirectory);
    if (held_) tidy();
}

DirectoryLock::~DirectoryLock() {
    if (held_) unlock_byte(segment_.file_.fd(), kLockDirectory);
}

void DirectoryLock::tidy() noexcept {
    Header& header = segment_.header();
    if (header.work.load(std::memory_order_acquire) == 0) return;  // ORDER(work): as in unfinished
    const auto work = unfinished(header);
    if (work) {
        const auto [which, record] = *work;
        const TableView view = segment_.table(which);
        DirectoryWriter(header, which, view).repair(record);
    } else {
        header.work.store(0, std::memory_order_release);  // ORDER(work): garbage, see unfinished
    }
    segment_.count(OwnCounter::repairs);
}

}  // namespace weir::shm
