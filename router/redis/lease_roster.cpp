#include "router/redis/lease_roster.hpp"

#include <algorithm>
#include <cmath>

namespace weir::router {
namespace {

/// So many can be looked at in every turn, and a beat may report them all.
constexpr std::size_t kFew = 64;

/// What has been looked at in such a part of its unit need not be again, should there be many, and unless
/// somebody wants it.
constexpr int kLooksInUnit = 8;

constexpr shm::Nanos kLookEvery = std::chrono::milliseconds(100);
constexpr shm::Nanos kLookLeast = std::chrono::milliseconds(5);

/// Those who sleep are all looked at in such a time; and while somebody waits, for a tenth of the time, which
/// is roughly so much for each.
constexpr shm::Nanos kRound = std::chrono::seconds(1);
constexpr shm::Nanos kSearchOne = std::chrono::nanoseconds(100);
constexpr std::size_t kSearchPart = 10;

}  // namespace

void LeaseRoster::add(LeaseSubject subject) {
    const std::size_t number = subject.limit;
    const LeaseLimit limit(subject.window, patience_, subject.fresh);
    put(entries_.insert_or_assign(number, Entry{std::move(subject), limit}).first->second, true);
}

void LeaseRoster::remove(Entry& entry) {
    take_out(entry);
    entries_.erase(entry.subject.limit);
}

LeaseRoster::Entry* LeaseRoster::find(std::size_t limit) noexcept {
    const auto found = entries_.find(limit);
    return found == entries_.end() ? nullptr : &found->second;
}

bool LeaseRoster::few() const noexcept { return awake_.size() <= kFew; }

void LeaseRoster::look(shm::Nanos now, std::uint64_t hosts) {
    find_wanted(now);
    look_at_some_asleep(now, hosts);
    const bool all = few();
    for (Entry* entry : awake_) {
        const bool lately = now < entry->looked + entry->limit.unit() / kLooksInUnit;
        const std::uint64_t wanted = entry->limit.reading().wanted;
        if (all || !lately || access_.wanted(entry->subject.limit) != wanted) observe(*entry, now, hosts);
    }
}

void LeaseRoster::observe(Entry& entry, shm::Nanos now, std::uint64_t hosts) {
    entry.limit.observe(access_.read(entry.subject.limit, now), now, hosts, late_);
    entry.looked = now;
    entry.presses = entry.limit.presses(now);
    entry.due = entry.presses || entry.limit.due(now);
}

/// For somebody who waits, as soon as the time allows that this takes with so many.
void LeaseRoster::find_wanted(shm::Nanos now) {
    if (!wanted_ || now < next_search()) return;
    wanted_ = false;
    searched_ = now;
    for (std::size_t i = asleep_.size(); i-- > 0;) {
        Entry& entry = *asleep_[i];
        if (access_.wanted(entry.subject.limit) != entry.limit.reading().wanted) put(entry, true);
    }
}

void LeaseRoster::look_at_some_asleep(shm::Nanos now, std::uint64_t hosts) {
    const double part = std::min(1.0, shm::to_seconds(now - looked_) / shm::to_seconds(kRound));
    looked_ = now;
    auto some = static_cast<std::size_t>(std::ceil(part * static_cast<double>(entries_.size())));
    for (; some > 0 && !asleep_.empty(); --some) {
        next_asleep_ = next_asleep_ == 0 ? asleep_.size() - 1 : std::min(next_asleep_, asleep_.size()) - 1;
        Entry& entry = *asleep_[next_asleep_];
        observe(entry, now, hosts);
        if (!entry.limit.sleeps(now)) put(entry, true);
    }
}

shm::Nanos LeaseRoster::next_search() const noexcept {
    return searched_ + kSearchOne * static_cast<std::int64_t>(kSearchPart * asleep_.size());
}

void LeaseRoster::wake_all(shm::Nanos now, std::uint64_t hosts) {
    while (!asleep_.empty()) {
        Entry& entry = *asleep_.back();
        put(entry, true);
        observe(entry, now, hosts);
    }
}

void LeaseRoster::let_sleep(shm::Nanos now) {
    if (entries_.size() <= kFew) return;
    for (std::size_t i = awake_.size(); i-- > 0;) {
        Entry& entry = *awake_[i];
        if (entry.looked == now && entry.limit.sleeps(now)) put(entry, false);
    }
}

void LeaseRoster::put(Entry& entry, bool awake) {
    take_out(entry);
    entry.awake = awake;
    auto& list = awake ? awake_ : asleep_;
    entry.at = list.size();
    list.push_back(&entry);
}

void LeaseRoster::take_out(Entry& entry) noexcept {
    auto& list = entry.awake ? awake_ : asleep_;
    if (entry.at >= list.size() || list[entry.at] != &entry) return;  // it is new
    list[entry.at] = list.back();
    list[entry.at]->at = entry.at;
    list.pop_back();
}

shm::Nanos LeaseRoster::next_look(shm::Nanos now) const noexcept {
    shm::Nanos at = now + kLookEvery;
    for (const Entry* entry : awake_) at = std::min(at, now + std::max(entry->limit.unit() / 4, kLookLeast));
    if (wanted_ && !asleep_.empty()) at = std::min(at, std::max(now, next_search()));
    return at;
}

}  // namespace weir::router
