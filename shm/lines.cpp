#include "shm/lines.hpp"

#include <fmt/format.h>

#include "shm/participant_impl.hpp"

namespace weir::shm {
namespace {

void set_bit(Word& word, std::uint32_t slot, bool on) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << slot % 64;
    std::uint64_t found = word.load(std::memory_order_relaxed);  // ORDER(waiting): a first guess
    // ORDER(waiting): release; who sees the bit finds the participant at work. Each round that is lost is
    // another participant's, which changes its own bit once.
    while (!word.cas(found, on ? found | bit : found & ~bit, std::memory_order_acq_rel,
                     std::memory_order_relaxed)) {
    }
}

}  // namespace

void clear_fronts(SegmentImpl& segment, std::uint32_t slot) noexcept {
    const TableView& lines = segment.table(Table::lines);
    for (std::uint32_t record = 0; record < lines.count; ++record) {
        // ORDER(life): a line that is being made has no front of this slot yet.
        if (Life::state_of(lines.life(record).load(std::memory_order_acquire)) != Life::live) continue;
        fronts_of(segment.line(record))[slot].store(0, std::memory_order_release);  // ORDER(front)
    }
    set_bit(segment.header().waiting.bits[slot / 64], slot, false);
    BellPull<Word>::silence(segment.participant(slot).bell);
}

Lines::Lines(const Segment& segment, const Participant& participant)
    : segment_(SegmentAccess::impl(segment)), participant_(participant.impl_.get()) {
    woken_.reserve(segment_->geometry().participants);
}

std::uint32_t Lines::slot() const noexcept { return participant_->slot; }

std::string Lines::segment_name() const {
    // ORDER(parameters): written before the segment was ready.
    return fmt::format("{}/{}", segment_->name(), segment_->header().created.load(std::memory_order_relaxed));
}

void Lines::begin(Nanos now) noexcept {
    if (!participant_->usable()) return;
    look(now);
    set_bit(segment_->header().waiting.bits[slot() / 64], slot(), true);
}

void Lines::end() noexcept {
    if (!participant_->usable()) return;
    set_bit(segment_->header().waiting.bits[slot() / 64], slot(), false);
    BellPull<Word>::silence(participant_->record->bell);
}

bool Lines::others_wait() const noexcept {
    if (!participant_->usable()) return false;
    const WaitingRecord& waiting = segment_->header().waiting;
    for (std::uint32_t first = 0; first < segment_->geometry().participants; first += 64) {
        // ORDER(waiting): relaxed; what is missed by a moment is found by the next look of who waits.
        std::uint64_t bits = waiting.bits[first / 64].load(std::memory_order_relaxed);
        if (slot() / 64 == first / 64) bits &= ~(std::uint64_t{1} << slot() % 64);
        if (bits != 0) return true;
    }
    return false;
}

void Lines::set_front(Line line, const Place& place) noexcept {
    if (!lives(line)) return;
    // ORDER(front): release; who sees the front sees its owner at work (look).
    fronts_of(*line.record)[slot()].store(place.packed(), std::memory_order_release);
}

void Lines::clear_front(Line line) noexcept {
    if (!lives(line)) return;
    fronts_of(*line.record)[slot()].store(0, std::memory_order_release);  // ORDER(front)
}

bool Lines::is_first(Line line, const Place& place, Nanos now) const noexcept {
    bool first = true;
    each_front_of_others(line, now, [&](std::uint32_t, const Place& other) {
        first = first && !goes_before(other, place);
    });
    return first;
}

void Lines::look(Nanos now) noexcept {
    if (!participant_->usable()) return;
    ParticipantRecord& own = *participant_->record;
    // ORDER(front): handed on by the release of the fronts that follow.
    own.looked.store(static_cast<std::uint64_t>(now.count()), std::memory_order_relaxed);
    BellPull<Word>::arm(own.bell);
}

void Lines::step_back() noexcept {
    if (participant_->usable()) BellPull<Word>::step_back(participant_->record->bell);
}

const std::vector<std::uint32_t>& Lines::woken_by_capacity() noexcept {
    woken_.clear();
    if (!participant_->usable()) return woken_;
    const WaitingRecord& waiting = segment_->header().waiting;
    for (std::uint32_t other = 0; other < segment_->geometry().participants; ++other) {
        // ORDER(waiting): as in others_wait.
        const std::uint64_t bits = waiting.bits[other / 64].load(std::memory_order_relaxed);
        if ((bits >> other % 64 & 1) != 0) pull(other, Bell::first);
    }
    return woken_;
}

const std::vector<std::uint32_t>& Lines::woken_by_turn(Line line, Nanos now) noexcept {
    woken_.clear();
    if (!lives(line)) return woken_;
    // ORDER(front): its own.
    const std::uint64_t own = fronts_of(*line.record)[slot()].load(std::memory_order_relaxed);
    std::uint64_t first = own != 0 ? own : UINT64_MAX;
    each_front_of_others(line, now, [&](std::uint32_t, const Place& other) {
        first = std::min(first, other.packed());
    });
    each_front_of_others(line, now, [&](std::uint32_t other, const Place& place) {
        if (!goes_before(Place::unpacked(first), place)) pull(other, Bell::behind);
    });
    return woken_;
}

/// The fronts that count.
template <class Visit>
void Lines::each_front_of_others(Line line, Nanos now, Visit&& visit) const noexcept {
    if (!lives(line)) return;
    const Word* fronts = fronts_of(*line.record);
    for (std::uint32_t other = 0; other < segment_->geometry().participants; ++other) {
        if (other == slot()) continue;
        const std::uint64_t front = fronts[other].load(std::memory_order_acquire);  // ORDER(front): set_front
        if (front == 0) continue;
        // ORDER(front): after the front, which hands it on.
        const std::uint64_t looked = segment_->participant(other).looked.load(std::memory_order_relaxed);
        if (at_work(looked, now)) visit(other, Place::unpacked(front));
    }
}

bool Lines::lives(Line line) const noexcept {
    // ORDER(life): acquire; pairs with the release that made the line live.
    return participant_->usable() && line &&
           line.record->life.load(std::memory_order_acquire) == line.generation;
}

void Lines::pull(std::uint32_t other, Bell what) noexcept {
    if (other != slot() && BellPull<Word>::pull(segment_->participant(other).bell, what)) {
        woken_.push_back(other);
    }
}

}  // namespace weir::shm
