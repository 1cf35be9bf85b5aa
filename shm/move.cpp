#include "shm/move.hpp"

#include <algorithm>
#include <vector>

#include "shm/gauge_access.hpp"
#include "shm/segment.hpp"
#include "shm/window_access.hpp"

namespace weir::shm {

namespace {

/// So long another process may take to charge what it has begun to move, before it is done once more.
constexpr Nanos kPatience = std::chrono::milliseconds(5);

constexpr auto kEvicting = static_cast<Life::State>(2);

NameKey read_key(const TableView& table, std::uint32_t record) noexcept {
    constexpr auto kAcquire = std::memory_order_acquire;  // ORDER(identity): before the second look at life
    constexpr std::size_t kHead = 3;
    const Word* words = table.identity(record);
    NameKey key;
    key.hash = words[0].load(kAcquire);    // ORDER(identity)
    key.meta = words[1].load(kAcquire);    // ORDER(identity)
    key.detail = words[2].load(kAcquire);  // ORDER(identity)
    for (std::size_t i = 0; i < std::min(table.text_words, NameKey::kWordsMax); ++i) {
        key.text[i] = words[kHead + i].load(kAcquire);  // ORDER(identity)
    }
    return key;
}

bool serves(Life::State state) noexcept {
    return state == Life::live || state == kEvicting || state == kMoving;
}

std::uint64_t in_state(std::uint64_t life, Life::State state) noexcept {
    return Life::pack(Life::generation_of(life), state);
}

/// Closes the window to everybody who comes by a handle and returns what is used in it. The life's word is
/// `moving`: an admission that has read the head before this changes it loses its compare-and-swap, and one
/// that reads it afterwards sees the life.
Units close_window(WindowRecord& record, Nanos now) noexcept {
    Contention contention;
    const std::uint64_t tick = RecordTicks(record).at(now);
    if (!sane(record, tick)) return 0;
    StandardWindow::supersede(record.state, tick, contention);
    return StandardWindow::look(record.state, tick).used;
}

class WindowMover {
 public:
    WindowMover(SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to, Nanos now)
        : from_(from), to_(SegmentAccess::of(to)), now_(now) {}

    /// Moves what nobody else is moving, and notes what somebody is.
    void move_all() {
        const std::uint32_t count = from_.table(Table::windows).count;
        for (std::uint32_t index = 0; index < count; ++index) move(index);
    }

    /// Waits a moment for those; then moves them, too.
    void move_rest() {
        const Nanos until = shm::now() + kPatience;
        for (const std::uint32_t index : begun_by_others_) {
            while (state_of(index) == kMoving && shm::now() < until) {
            }
            if (state_of(index) == kMoving) charge(index, life_of(index));
        }
    }

 private:
    std::uint64_t life_of(std::uint32_t index) const noexcept {
        // ORDER(life): acquire; the name, and what is in the window, are of that life.
        return from_.window(index).life.load(std::memory_order_acquire);
    }
    Life::State state_of(std::uint32_t index) const noexcept { return Life::state_of(life_of(index)); }

    void move(std::uint32_t index) {
        std::uint64_t life = life_of(index);
        for (;;) {
            if (!serves(Life::state_of(life))) return;
            if (Life::state_of(life) == kMoving) return begun_by_others_.push_back(index);
            // ORDER(life): release; whoever reads the head that close_window changes sees this.
            if (from_.window(index).life.cas(life, in_state(life, kMoving), std::memory_order_acq_rel,
                                             std::memory_order_acquire)) {
                return charge(index, in_state(life, kMoving));
            }
        }
    }

    void charge(std::uint32_t index, std::uint64_t life) {
        WindowRecord& record = from_.window(index);
        const Units used = close_window(record, now_);
        const auto name = used != 0 ? moved_name(from_, Table::windows, index, life) : std::nullopt;
        if (name) charge_twin(*name, record, used);
        // ORDER(life): release; whoever sees it moved finds it charged.
        record.life.cas(life, in_state(life, kMoved), std::memory_order_acq_rel,
                        std::memory_order_relaxed);  // ORDER(life): somebody else has finished it
    }

    void charge_twin(const NameText& name, const WindowRecord& record, Units used) {
        constexpr int kAttemptsMax = 3;  // it may be evicted in between, for it is idle until it is charged
        const LimiterName own{name.scope, name.name, name.unit, name.window};
        for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
            const Units full = full_of(record.lease);
            const Units limit = std::max<Units>(limit_of(record.state), 1);
            const Limiter made = full != 0 ? to_.shared_limiter(own, full) : to_.limiter(own, limit);
            Contention contention;
            const auto done = WindowGuard::charge(*made.record, made.generation, now_, used, contention);
            if (done.verdict == Verdict::admitted) return;
        }
    }

    SegmentImpl& from_;
    Segment to_;
    Nanos now_;
    std::vector<std::uint32_t> begun_by_others_;
};

}  // namespace

void move_windows(SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to, Nanos now) {
    WindowMover mover(from, to, now);
    mover.move_all();
    mover.move_rest();
}

void close_gauges(SegmentImpl& from) noexcept {
    for (std::uint32_t index = 0; index < from.table(Table::gauges).count; ++index) {
        GaugeRecord& gauge = from.gauge(index);
        // ORDER(life): acquire; as below
        std::uint64_t life = gauge.life.load(std::memory_order_acquire);
        while (serves(Life::state_of(life))) {
            // ORDER(life): release; whoever has read `total` since sees that the gauge has moved.
            if (gauge.life.cas(life, in_state(life, kMoved), std::memory_order_acq_rel,
                               std::memory_order_acquire)) {
                break;
            }
        }
        // ORDER(gauge): after `life`, as an eviction does
        gauge.total.fetch_add(0, std::memory_order_acq_rel);
    }
}

unsigned move_share(SegmentImpl& from, std::uint32_t old_slot, const std::shared_ptr<SegmentImpl>& to,
                    std::uint32_t new_slot) noexcept {
    unsigned missing = 0;
    for (std::uint32_t index = 0; index < from.table(Table::gauges).count; ++index) {
        GaugeRecord& gauge = from.gauge(index);
        const std::uint64_t share = GaugeCells::share(from.cells(gauge), old_slot);
        if (share == 0) continue;
        // ORDER(life): acquire; the gauge's name is of that life
        const Gauge there = twin(from, to, Gauge{&gauge, gauge.life.load(std::memory_order_acquire)});
        std::uint64_t retries = 0;
        for (std::uint64_t i = 0; i < share; ++i) {
            // Without a maximum: they are in flight already.
            const bool room = there && GaugeCells::take(to->cells(*there.record), new_slot, 0, retries) ==
                                           Hold::taken;
            if (!room) ++missing;
        }
    }
    return missing;
}

std::optional<NameText> moved_name(const SegmentImpl& segment, Table table, std::uint32_t record,
                                   std::uint64_t life) {
    const TableView& view = segment.table(table);
    const auto same = [&] {
        // ORDER(life): acquire; before and after the name is read
        const std::uint64_t found = view.life(record).load(std::memory_order_acquire);
        const auto state = Life::state_of(found);
        return Life::generation_of(found) == Life::generation_of(life) && (serves(state) || state == kMoved);
    };
    if (!same()) return std::nullopt;
    const NameKey key = read_key(view, record);
    if (!same()) return std::nullopt;
    return text_of(key, view.text_words);
}

Limiter twin(const SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to,
             const Limiter& limiter) noexcept {
    try {
        const std::uint32_t index = from.index_of(*limiter.record);
        const auto name = moved_name(from, Table::windows, index, limiter.generation);
        if (!name) return {};
        const Units full = full_of(limiter.record->lease);
        const LimiterName own{name->scope, name->name, name->unit, name->window};
        Segment segment = SegmentAccess::of(to);
        return full != 0 ? segment.shared_limiter(own, full)
                         : segment.limiter(own, std::max<Units>(limit_of(limiter.record->state), 1));
    } catch (...) {
        return {};  // no room for it there
    }
}

Gauge twin(const SegmentImpl& from, const std::shared_ptr<SegmentImpl>& to, const Gauge& gauge) noexcept {
    try {
        const TableView& view = from.table(Table::gauges);
        const auto offset = reinterpret_cast<const std::byte*>(gauge.record) - view.records;
        const auto index = static_cast<std::uint32_t>(static_cast<std::uint64_t>(offset) / view.stride);
        const auto name = moved_name(from, Table::gauges, index, gauge.generation);
        if (!name) return {};
        const Units full = full_of(gauge.record->lease);
        Segment segment = SegmentAccess::of(to);
        if (full != 0) return segment.shared_gauge(name->scope, name->name, full);
        const Units max = max_of(*gauge.record);
        return segment.gauge(name->scope, name->name, max == kNoMaximum ? 0 : max);
    } catch (...) {
        return {};  // no room for it there
    }
}

}  // namespace weir::shm
