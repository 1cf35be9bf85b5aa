// What a Segment and its Participants share within one process: the mapping and where everything is
// in it.
//
// Internal to shm/. Thread safety: as stated at each member.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "shm/directory.hpp"
#include "shm/in_flight.hpp"
#include "shm/layout.hpp"
#include "shm/segment.hpp"
#include "shm/segment_file.hpp"

namespace weir::shm {

using GaugeCells = InFlight<Word>;

class SegmentImpl : public std::enable_shared_from_this<SegmentImpl> {
 public:
    /// `options` are those that it was opened with; with `follows` it is left when its name is lost.
    SegmentImpl(SegmentFile file, SegmentOptions options, bool follows);
    ~SegmentImpl();
    SegmentImpl(const SegmentImpl&) = delete;
    SegmentImpl& operator=(const SegmentImpl&) = delete;

    const std::string& name() const noexcept { return options_.name; }
    const SegmentFile& file() const noexcept { return file_; }
    const Geometry& geometry() const noexcept { return file_.geometry(); }
    Header& header() const noexcept { return *reinterpret_cast<Header*>(file_.data()); }
    const TableView& table(Table table) const noexcept {
        return tables_[static_cast<std::size_t>(table)];
    }

    // Indices below the geometry's counts; callers check.
    ParticipantRecord& participant(std::uint32_t slot) const noexcept;
    RingRecord* ring(std::uint32_t slot) const noexcept;
    WindowRecord& window(std::uint32_t record) const noexcept;
    GaugeRecord& gauge(std::uint32_t record) const noexcept;
    HealthRecord& health(std::uint32_t record) const noexcept;
    CounterRecord& counter(std::uint32_t record) const noexcept;
    LineRecord& line(std::uint32_t record) const noexcept;

    /// The index of a record; the handle must come from this segment.
    std::uint32_t index_of(const WindowRecord& record) const noexcept;
    GaugeCells::View cells(GaugeRecord& record) const noexcept;

    /// Whether this process opened the segment itself, rather than the parent it was forked off.
    bool ours() const noexcept;

    /// Throws SegmentError unless this process may write here.
    void check_writable() const;

    /// Slots that participants of this very opening hold: their locks do not show to us.
    bool holds_slot(std::uint32_t slot) const noexcept;
    void set_slot(std::uint32_t slot, bool held) noexcept;

    /// Clears the gauges' share of `slot`, and its fronts in the waiting lines, and marks the slot left.
    /// Only for its owner, or under the directory lock when the owner is dead.
    void release_slot(std::uint32_t slot) noexcept;

    /// Frees the slot of a dead participant; false if it lives, or somebody else is at it.
    bool reap_slot(std::uint32_t slot) noexcept;

    /// Whether somebody has found the file truncated under the mapping: what is mapped must not be touched
    /// any more. Set by look_whole(), which asks the system.
    bool broken() const noexcept {
        return broken_.load(std::memory_order_relaxed);  // ORDER(broken): a flag that is set once, by itself
    }
    bool look_whole() noexcept;

    /// Whether this process has left the segment for next(), or nothing of it may be touched any more.
    bool usable() const noexcept { return !broken() && next() == nullptr; }

    /// The segment that this process uses instead, since this one has lost its name; null while it uses this
    /// one. Lives as long as this one.
    SegmentImpl* next() const noexcept {
        return next_.load(std::memory_order_acquire);  // ORDER(successor): all of it was moved before
    }

    /// Housekeeping of this opening, a few times a second: opens the file again if the application has closed
    /// its descriptor, and leaves the segment if its name leads elsewhere, or nowhere. Cheap otherwise.
    void tend(Nanos now) noexcept;

    /// Whether somebody leaves the segment, so that no name may be made in it any more.
    bool being_left() const noexcept {
        // ORDER(successor): acquire; what the marker has moved is seen
        return header().successor.load(std::memory_order_acquire) != 0;
    }

    /// Why it was not left though it should be; empty if there was no such trouble.
    std::string trouble() const;

    void check_whole();  ///< throws SegmentError unless it is

    /// Adds to a counter that belongs to no participant.
    void count(OwnCounter counter, std::uint64_t amount = 1) const noexcept;

    /// The record of that name in the table `which`, made if it is new. Throws DirectoryFull or SegmentError.
    Found find_or_make(Table which, const NameKey& key, RecordKeeper& keeper);

 private:
    friend class DirectoryLock;

    SegmentFile file_;
    SegmentOptions options_;
    bool follows_;
    std::uint32_t born_;  // fork_count() at opening
    std::array<TableView, kTables> tables_;
    std::mutex directory_mutex_;  // the file lock does not tell the threads of one opening apart
    std::array<std::atomic<std::uint64_t>, 4> slots_{};
    std::atomic<bool> broken_{false};

    [[noreturn]] void fail_left() const;
    void mend() noexcept;
    void leave_for_named(Nanos now) noexcept;
    void move_to(const std::shared_ptr<SegmentImpl>& to, Nanos now);
    Word tended_;   // when tend() last asked the system, ns
    Word left_at_;  // when it last tried to leave a segment that others leave, ns
    std::atomic<SegmentImpl*> next_{nullptr};
    std::shared_ptr<SegmentImpl> next_owned_;
    mutable std::mutex moving_mutex_;  // of `next_owned_` and `trouble_`; no request takes it
    std::string trouble_;
};

/// The inside of a Segment, for the rest of this folder.
struct SegmentAccess {
    static std::shared_ptr<SegmentImpl> impl(const Segment& segment) noexcept {
        return segment.impl_->shared_from_this();
    }
    static Segment of(std::shared_ptr<SegmentImpl> impl) { return Segment(std::move(impl)); }
};

/// A line's fronts, one for each participant.
inline Word* fronts_of(LineRecord& record) noexcept { return reinterpret_cast<Word*>(&record + 1); }

/// Takes all that participant `slot` has in the waiting lines; as release_slot (lines.cpp).
void clear_fronts(SegmentImpl& segment, std::uint32_t slot) noexcept;

/// Holds the directory lock, having tidied up after a dead holder.
class DirectoryLock {
 public:
    /// Waits for it; throws SegmentError when its holder does not let go in time.
    explicit DirectoryLock(SegmentImpl& segment);
    /// Takes it only if it is free.
    DirectoryLock(SegmentImpl& segment, std::try_to_lock_t) noexcept;
    ~DirectoryLock();
    DirectoryLock(const DirectoryLock&) = delete;
    DirectoryLock& operator=(const DirectoryLock&) = delete;

    explicit operator bool() const noexcept { return held_; }

 private:
    void tidy() noexcept;

    SegmentImpl& segment_;
    std::unique_lock<std::mutex> threads_;
    bool held_ = false;
};

}  // namespace weir::shm
