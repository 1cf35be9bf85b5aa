#include "router/redis/lease_host.hpp"

#include <algorithm>

namespace weir::router {
namespace {

/// A beat has no more reports than this, so that the store is not held up.
constexpr std::size_t kReportsMax = 500;

/// Instead of an entry's number: the limit is gone.
constexpr std::size_t kDeparted = ~std::size_t{0};

/// Beats that nothing presses for are as far apart as such a part of a limit's unit.
constexpr int kBeatsInUnit = 8;

/// How long an attempt may take that follows a failure, and requests are still not to wait for it.
constexpr shm::Nanos kBarredBeyond = std::chrono::seconds(2);

constexpr shm::Nanos kBackoffLeast = std::chrono::milliseconds(50);

bool is_farewell(const LeaseReport& report) noexcept {
    return report.limit == kDeparted;
}

/// Whether a coordinator can go on where another has stopped: with its lease; or without contact, if the
/// break was so short that the others cannot have regained contact and leases meanwhile.
bool goes_on(const shm::LeaseContact& contact, shm::Nanos now, const LeaseTiming& timing) noexcept {
    if (contact.mode == shm::LeaseMode::shared) return now < contact.until;
    return contact.mode > shm::LeaseMode::shared && now - contact.seen < timing.lease;
}

}  // namespace

shm::LeaseMode mode_without_contact(FailMode mode) noexcept {
    switch (mode) {
        case FailMode::share:
            return shm::LeaseMode::share;
        case FailMode::closed:
            return shm::LeaseMode::closed;
        case FailMode::open:
            return shm::LeaseMode::open;
    }
    return shm::LeaseMode::closed;
}

shm::Units lease_without_contact(FailMode mode, shm::Units lease, shm::Units full, std::uint64_t hosts,
                                 bool settled) noexcept {
    if (mode == FailMode::closed) return 0;
    if (mode == FailMode::open) return full;
    const shm::Units share = full / std::max<std::uint64_t>(1, hosts);
    return settled ? share : std::min(lease, share);
}

bool share_is_due(const shm::LeaseContact& contact, shm::Nanos lost_at, shm::Nanos window, shm::Nanos lease,
                  shm::Nanos now) noexcept {
    return contact.answered == shm::Nanos(0) || now >= lost_at + window + lease;
}

LeaseHost::LeaseHost(const LeaseRules& rules, LeaseAccess& access, const shm::LeaseContact& contact,
                     shm::Nanos now)
    : rules_(rules),
      access_(access),
      contact_(contact),
      started_(now),
      resting_(!goes_on(contact, now, rules.timing)),
      // A host that was not there when the others lost contact reckons that they have only just done so.
      lost_at_(resting_ ? std::max(contact.until, now + rules.timing.first_contact) : contact.until),
      roster_(access, rules.timing.patience),
      renew_at_(now),
      // A predecessor may have been charged for limits that are gone, or that nobody uses any more.
      owes_registration_(contact.incarnation != 0) {
    // What a predecessor has sent and not heard of may still be on its way.
    contact_.sent = std::max(contact_.sent, contact_.sequence);
}

std::uint64_t LeaseHost::hosts() const noexcept {
    return std::max(rules_.hosts_expected, contact_.hosts);
}

void LeaseHost::add(LeaseSubject subject) {
    remove(subject.limit);
    roster_.add(std::move(subject));
}

void LeaseHost::remove(std::size_t limit) {
    Entry* entry = roster_.find(limit);
    if (!entry) return;
    if (entry->limit.charged_for()) {
        departed_.push_back(entry->limit.farewell());
        departed_.back().limit = kDeparted;
        departed_.back().key = entry->subject.key;
    }
    roster_.remove(*entry);
}

std::optional<Beat> LeaseHost::poll(shm::Nanos now, std::uint64_t nonce) {
    look(now);
    contact_.seen = now;
    if (resting_) {
        rest(now);
    } else if (contact_.mode == shm::LeaseMode::shared && now >= contact_.until) {
        lost_at_ = contact_.until;
        lose_contact(now);
    }
    // What a beat that is under way says the host holds, or a registration has said, is not to be outrun.
    if (!resting_ && !pending_ && !told_some_ && contact_.mode > shm::LeaseMode::shared) settle(now);
    if (pending_ || !time_to_send(now)) return std::nullopt;
    pending_ = make_beat(now, nonce);
    sent_at_ = now;
    return pending_;
}

void LeaseHost::look(shm::Nanos now) {
    roster_.look(now, hosts());
    // Without contact all are awake, for other processes may change leases, too.
    if (contact_.mode > shm::LeaseMode::shared) return;
    if (contact_.mode == shm::LeaseMode::shared) give_surplus_back(now);
    // A registration is about everything.
    if (!registering_) roster_.let_sleep(now);
}

void LeaseHost::give_surplus_back(shm::Nanos now) {
    for (Entry* entry : roster_.awake()) {
        if (entry->looked != now) continue;
        const auto less = entry->limit.surplus(now);
        if (less) set(*entry, *less, now);
    }
}

/// Sets a lease, and looks: the next beat must say what the host holds from now on.
void LeaseHost::set(Entry& entry, shm::Units lease, shm::Nanos now) {
    access_.set_lease(entry.subject.limit, lease, now);
    roster_.observe(entry, now, hosts());
}

/// A host that begins without a lease waits a moment for its first contact. What it had in an earlier life
/// may belong to others by now.
void LeaseHost::rest(shm::Nanos now) {
    for (auto& [number, entry] : roster_.all()) {
        if (entry.limit.reading().lease != 0) set(entry, 0, now);
    }
    if (now - started_ < rules_.timing.first_contact) return;
    resting_ = false;
    lose_contact(now);
}

/// Lowers first, whatever the mode: nobody may be admitted by a lease that has run out. What a mode has more
/// comes by settle().
void LeaseHost::lose_contact(shm::Nanos now) {
    roster_.wake_all(now, hosts());
    contact_.mode = mode_without_contact(rules_.fail_mode);
    for (auto& [number, entry] : roster_.all()) {
        const shm::LeaseReading& reading = entry.limit.reading();
        const shm::Units lease =
            lease_without_contact(rules_.fail_mode, reading.lease, reading.full, hosts(), false);
        set(entry, std::min(lease, reading.lease), now);
    }
}

/// In mode share, when every other host has been without contact for a window, each takes its full share. A
/// host that has never had contact knows of nobody, and takes it at once.
void LeaseHost::settle(shm::Nanos now) {
    bool raised = false;
    for (auto& [number, entry] : roster_.all()) {
        const bool due = share_is_due(contact_, lost_at_, entry.subject.window, rules_.timing.lease, now);
        const shm::LeaseReading& reading = entry.limit.reading();
        const shm::Units lease =
            lease_without_contact(rules_.fail_mode, reading.lease, reading.full, hosts(), due);
        if (lease == reading.lease) continue;
        raised = raised || lease > reading.lease;
        set(entry, lease, now);
    }
    if (raised) access_.raised();
}

bool LeaseHost::time_to_send(shm::Nanos now) const {
    if (now < retry_at_) return false;
    if (registering_ || now >= renew_at_ || !departed_.empty()) return true;
    return std::any_of(roster_.awake().begin(), roster_.awake().end(), [&](const Entry* entry) {
        return entry->presses || (entry->due && now >= sent_at_ + entry->limit.unit() / kBeatsInUnit);
    });
}

/// Everything that the host holds is told anew, and what is not told the store forgets.
void LeaseHost::begin_registration(shm::Nanos now) {
    roster_.wake_all(now, hosts());
    registering_ = owes_registration_ = true;
    told_some_ = false;
    epoch_ = 0;
    for (auto& [number, entry] : roster_.all()) entry.told = false;
    departed_.clear();
}

Beat LeaseHost::make_beat(shm::Nanos now, std::uint64_t nonce) {
    const auto ms = [](shm::Nanos time) { return time / std::chrono::milliseconds(1); };
    Beat beat;
    beat.host = rules_.host;
    beat.claimed = contact_.incarnation;
    beat.sequence = ++contact_.sent;
    if (registering_ && epoch_ == 0) epoch_ = beat.sequence;
    beat.epoch = epoch_;
    beat.acked = contact_.sequence;
    beat.silence_ms = ms(now - contact_.answered);
    beat.nonce = nonce;
    beat.registering = registering_;
    beat.failed = contact_.mode > shm::LeaseMode::shared;
    beat.lease_ms = ms(rules_.timing.lease);
    beat.margin_ms = ms(rules_.timing.margin);
    beat.hosts_expected = hosts();
    add_reports(beat, now);
    return beat;
}

/// Goes on where the last beat had to stop, so that everybody's turn comes.
void LeaseHost::add_reports(Beat& beat, shm::Nanos now) {
    const std::size_t departed = std::min(departed_.size(), kReportsMax);
    beat.reports.assign(departed_.begin(), departed_.begin() + static_cast<std::ptrdiff_t>(departed));
    // Where there are few, every beat tells all that are in use, which makes each beat a renewal.
    const bool all = registering_ || roster_.few();
    const std::vector<Entry*>& entries = roster_.awake();
    const std::size_t first = next_entry_;
    for (std::size_t n = 0; n < entries.size(); ++n) {
        const std::size_t i = (first + n) % entries.size();
        Entry& entry = *entries[i];
        if (!entry.limit.active() || !(all || entry.due) || (registering_ && entry.told)) continue;
        if (beat.reports.size() == kReportsMax) {
            beat.more = registering_;
            next_entry_ = i;
            break;
        }
        if (entry.looked != now) roster_.observe(entry, now, hosts());
        beat.reports.push_back(entry.limit.report());
        beat.reports.back().limit = entry.subject.limit;
        beat.reports.back().key = entry.subject.key;
    }
}

bool LeaseHost::answered(const BeatAnswer& answer, shm::Nanos now) {
    if (!pending_) return false;
    if (now >= sent_at_ + rules_.timing.lease) {
        failed(now);
        return false;
    }
    const Beat beat = std::move(*pending_);
    pending_.reset();
    backoff_ = retry_at_ = shm::Nanos(0);
    took_ = std::max(now - sent_at_, took_ * 3 / 4);
    roster_.set_late(took_ > rules_.timing.patience ? took_ * 2 : shm::Nanos(0));
    switch (answer.status) {
        case BeatAnswer::Status::stale:
            return true;  // the one that overtook it was ours too; the next beat has a later number
        case BeatAnswer::Status::unknown:
            if (contact_.incarnation != answer.incarnation) contact_.sequence = 0;
            contact_.incarnation = answer.incarnation;
            begin_registration(now);
            return true;
        case BeatAnswer::Status::granted:
            break;
    }
    contact_.sequence = beat.sequence;
    const auto gone = std::count_if(beat.reports.begin(), beat.reports.end(), is_farewell);
    departed_.erase(departed_.begin(), departed_.begin() + gone);
    if (beat.registering && beat.more) {
        tell(beat, now);
        return true;
    }
    if (beat.registering) owes_registration_ = false;
    registering_ = resting_ = told_some_ = false;
    // The lease counts from when the beat was sent: the store's own count began later.
    contact_.answered = sent_at_;
    contact_.until = sent_at_ + rules_.timing.lease;
    contact_.mode = shm::LeaseMode::shared;
    contact_.hosts = answer.hosts;
    renew_at_ = sent_at_ + rules_.timing.renew();
    if (barred_) unbar();
    apply(beat, answer, now);
    if (owes_registration_) begin_registration(now);
    return true;
}

/// A part of a registration has arrived. There are no leases before all of it has.
void LeaseHost::tell(const Beat& beat, shm::Nanos now) {
    told_some_ = true;
    for (const LeaseReport& report : beat.reports) {
        if (is_farewell(report)) continue;
        Entry& entry = roster_.all().at(report.limit);
        entry.told = true;
        entry.limit.told(report, now);
    }
}

void LeaseHost::apply(const Beat& beat, const BeatAnswer& answer, shm::Nanos now) {
    bool raised = false;
    for (std::size_t i = 0; i < beat.reports.size(); ++i) {
        const LeaseReport& report = beat.reports[i];
        if (is_farewell(report)) continue;
        Entry& entry = roster_.all().at(report.limit);
        const shm::Units lease = answer.leases[i];
        if (lease != report.hold) access_.set_lease(entry.subject.limit, lease, now);
        entry.limit.answered(report, lease, now);
        entry.presses = entry.due = false;
        access_.set_barren(entry.subject.limit, entry.limit.barren_until());
        raised = raised || report.need > report.hold;
    }
    // Also those that got nothing: they need not wait any longer.
    if (raised) access_.raised();
}

void LeaseHost::failed(shm::Nanos now) {
    // Its registration may have arrived, and let the others have the rest: as if it had got a lease then.
    if (registering_ && pending_) lost_at_ = std::max(lost_at_, sent_at_ + rules_.timing.lease);
    registering_ = told_some_ = false;
    pending_.reset();
    backoff_ = std::clamp(backoff_ * 2, kBackoffLeast, rules_.timing.retry_most);
    retry_at_ = now + backoff_;
    if (backoff_ < rules_.timing.patience) return;
    // A breaker: until the store answers, requests do not wait for what will not come.
    barred_ = true;
    for (const auto& [number, entry] : roster_.all()) access_.set_barren(number, retry_at_ + kBarredBeyond);
    access_.raised();
}

void LeaseHost::give_up(shm::Nanos now) {
    for (auto& [number, entry] : roster_.all()) set(entry, 0, now);
    begin_registration(now);
}

/// The store has answered.
void LeaseHost::unbar() {
    for (const auto& [number, entry] : roster_.all()) access_.set_barren(number, entry.limit.barren_until());
    barred_ = false;
}

shm::Nanos LeaseHost::next_poll(shm::Nanos now) const noexcept {
    if (registering_ && !pending_) return std::max(now, retry_at_);
    return roster_.next_look(now);
}

}  // namespace weir::router
