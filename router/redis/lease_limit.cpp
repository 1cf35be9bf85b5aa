#include "router/redis/lease_limit.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

namespace weir::router {
namespace {

constexpr shm::Nanos kUnitLeast = std::chrono::milliseconds(20);
constexpr shm::Nanos kUnitMost = std::chrono::seconds(1);
constexpr std::uint64_t kChargedMask = (std::uint64_t{1} << 40) - 1;

/// A steady stream is given so many units of time in advance, and asks again when so few are left.
constexpr shm::Units kAheadUnits = 8;
constexpr shm::Units kLowUnits = 2;

/// A slow stream need not have been seen in every unit of time, but in so many of those looked back at; and
/// its lease is idle only after so many without a sign of it.
constexpr std::ptrdiff_t kSeenUnits = 3;
constexpr int kSlowUnits = 4;

/// A trickle is slower than a stream, and seen in as many of all the units of time looked back at. It is
/// given in advance what it has used in them; but all hosts together no more than such a part of the limit,
/// for it may lie idle, and for no longer than so many units.
constexpr shm::Units kTricklePart = 32;
constexpr int kTrickleIdleUnits = 20;

/// A burst that has had to ask so often, within this unit of time and the last, is given a part of what it
/// has used in them in advance.
constexpr unsigned kManyRaises = 8;
constexpr shm::Units kBurstPart = 4;

/// How long, in units of time, asking rests after the first, the second and every further vain attempt.
constexpr int kRests[] = {1, 2, 5};

/// How long a stream that runs low rests when it has been given less than it has asked for.
constexpr int kScarceRest = 10;

/// A fall in what is used is reported after a unit of time if it is a good part, both of what was reported
/// and of the limit; otherwise after several.
constexpr shm::Units kGoodPart = 4;
constexpr shm::Units kGoodPartOfLimit = 32;
constexpr shm::Units kSmallPart = 16;
constexpr int kFallUnits = 8;

/// What nobody has reported for two windows and a minute the store forgets: half of that is soon enough.
constexpr shm::Nanos kUnreportedMost = std::chrono::seconds(30);

/// Refused requests count as demand for a while: this part of a window.
constexpr double kPressureFades = 0.25;

/// On a busy machine a process may do nothing for a while, and what waits in it waits as much longer.
constexpr shm::Nanos kHeldUpMost = std::chrono::seconds(1);

}  // namespace

LeaseLimit::LeaseLimit(shm::Nanos window, shm::Nanos patience, bool fresh) noexcept
    : window_(window),
      patience_(patience),
      fresh_(fresh),
      unit_(std::clamp(window / 60, kUnitLeast, kUnitMost)) {
    if (window == shm::Nanos(0)) unit_ = kUnitMost / 4;
}

void LeaseLimit::observe(const shm::LeaseReading& reading, shm::Nanos now, std::uint64_t hosts,
                         shm::Nanos late) {
    hosts_ = std::max<std::uint64_t>(1, hosts);
    late_ = late;
    const std::int64_t slot = now / unit_;
    if (!seen_) {
        slot_ = slot;
        busy_at_ = now;
        reading_.wanted = fresh_ ? 0 : reading.wanted;
        leaked_ = fresh_ ? 0 : reading.wanted - reading.relieved;
        reading_.charged = reading.charged;
        seen_ = true;
    }
    if (slot != slot_) turn_to(slot);
    const shm::Units charged = (reading.charged - reading_.charged) & kChargedMask;
    const shm::Units wanted = reading.wanted - reading_.wanted;
    flow_[0] += std::min(charged, reading.full);  // the sum of another life of the record tells nothing
    const double fades = std::max(1.0, kPressureFades * static_cast<double>(window_.count()));
    pressure_ *= std::exp(-static_cast<double>((now - observed_).count()) / fades);
    pressure_ += static_cast<double>(wanted);
    const bool in_flight = window_ == shm::Nanos(0) && reading.used != 0;
    if (charged != 0 || wanted != 0 || in_flight) busy_at_ = now;
    if (wanted != 0) {
        wants_.emplace_back(now, reading_.wanted);
        wanted_at_ = now;
    }
    reading_ = reading;
    observed_ = now;
    count_waiting(now);
}

void LeaseLimit::turn_to(std::int64_t slot) noexcept {
    const auto gone = static_cast<std::size_t>(std::clamp<std::int64_t>(slot - slot_, 0, kFlows));
    std::shift_right(flow_.begin(), flow_.end(), static_cast<std::ptrdiff_t>(gone));
    std::fill_n(flow_.begin(), gone, 0);
    raises_before_ = gone == 1 ? raises_ : 0;
    raises_ = 0;
    slot_ = slot;
}

/// Nobody waits for longer than `patience_`, so no more wait than have begun to within that time. Those whose
/// process died are never relieved. They show when nobody can be waiting any more, however long a process was
/// held up; taken for dead too soon, one that is late would hide another behind it for as long as any come.
void LeaseLimit::count_waiting(shm::Nanos now) {
    while (!wants_.empty() && wants_.front().first + std::max(patience_, late_) < now) wants_.pop_front();
    const std::uint64_t lately = wanted_within(patience_, now);
    const std::uint64_t open = reading_.wanted - reading_.relieved;
    if (now > wanted_at_ + patience_ + kHeldUpMost) leaked_ = open;
    if (open < leaked_) leaked_ = 0;
    outstanding_ = std::min({reading_.full, open - leaked_, lately});
    missed_ = late_ == shm::Nanos(0) ? 0 : std::min(reading_.full, wanted_within(late_, now));
}

std::uint64_t LeaseLimit::wanted_within(shm::Nanos time, shm::Nanos now) const noexcept {
    const auto first = std::find_if(wants_.begin(), wants_.end(),
                                    [&](const auto& want) { return want.first + time >= now; });
    return first == wants_.end() ? 0 : reading_.wanted - first->second;
}

/// Whether the latest whole units of time have seen a stream, however slow, and no single burst.
bool LeaseLimit::streams() const noexcept { return seen_in(kAheadUnits) >= kSeenUnits; }

/// In how many of the latest whole units of time there was any use.
std::ptrdiff_t LeaseLimit::seen_in(std::ptrdiff_t units) const noexcept {
    return std::count_if(flow_.begin() + 1, flow_.begin() + 1 + units, [](auto used) { return used != 0; });
}

/// What a trickle is given in advance; 0 if there is none.
shm::Units LeaseLimit::trickle() const noexcept {
    if (seen_in(kFlows - 1) < kSeenUnits) return 0;
    const shm::Units all = std::accumulate(flow_.begin() + 1, flow_.end(), shm::Units{0});
    return std::min(all, reading_.full / (kTricklePart * hosts_));
}

/// What a steady stream uses in kAheadUnits, as far as is looked back for it. A burst is none: a stream that
/// begins must have been seen by both of the latest whole units of time, and what the largest of them
/// saw does not count for one that goes on. Where the store is late a burst must find its units there.
shm::Units LeaseLimit::stream() const noexcept {
    const shm::Units young = std::min(flow_[1], flow_[2]) * kAheadUnits;
    const auto end = flow_.begin() + 1 + kAheadUnits;
    const shm::Units all = std::accumulate(flow_.begin() + 1, end, shm::Units{0});
    if (late_ != shm::Nanos(0)) return std::max(young, all);
    if (!streams()) return young;
    return std::max(young, all - *std::max_element(flow_.begin() + 1, end));
}

bool LeaseLimit::idle(shm::Nanos now) const noexcept {
    const bool slow = streams() || late_ != shm::Nanos(0);
    const int units = trickle() != 0 ? kTrickleIdleUnits : slow ? kSlowUnits : 1;
    return now - busy_at_ >= unit_ * units;
}

shm::Units LeaseLimit::headroom() const noexcept {
    if (idle(observed_)) return 0;
    const bool burst = raises_ + raises_before_ >= kManyRaises;
    return std::max({stream(), trickle(), burst ? (flow_[0] + flow_[1]) / kBurstPart : 0});
}

shm::Units LeaseLimit::need() const noexcept {
    if (outstanding_ == 0) return std::min(reading_.full, reading_.lease);
    return std::min(reading_.full, std::max(reading_.lease, reading_.used + outstanding_));
}

shm::Units LeaseLimit::ask() const noexcept {
    return std::min(reading_.full, reading_.used + std::max({headroom(), outstanding_, missed_}));
}

shm::Units LeaseLimit::charge() const noexcept {
    return std::max(reading_.lease, reading_.used);
}

std::optional<shm::Units> LeaseLimit::surplus(shm::Nanos now) const noexcept {
    if (reading_.lease == 0 || outstanding_ != 0) return std::nullopt;
    if (idle(now)) return 0;
    const shm::Units enough = ask() + ask() / 4 + 1;
    // The first two units of time of a stream have no rate yet; what it was given stays meanwhile.
    if (flow_[1] == 0 || flow_[2] == 0 || reading_.lease <= enough) return std::nullopt;
    return enough;
}

bool LeaseLimit::urgent(shm::Nanos now) const noexcept {
    return outstanding_ != 0 && now >= barren_until_ && need() > reading_.lease;
}

bool LeaseLimit::presses(shm::Nanos now) const noexcept {
    if (urgent(now)) return true;
    const shm::Units low = std::max<shm::Units>(stream() * kLowUnits / kAheadUnits, trickle() != 0);
    const bool low_or_late = reading_.lease < reading_.used + low || missed_ != 0;
    const bool soon_short = !idle(now) && low_or_late && ask() > reading_.lease;
    return soon_short && (now >= content_until_ || (missed_ != 0 && ask() > asked_));
}

bool LeaseLimit::due(shm::Nanos now) const noexcept {
    if (presses(now)) return true;
    if (now - reported_at_ < unit_) return false;
    if (active() && now - reported_at_ >= window_ + kUnreportedMost) return true;
    const shm::Units charge = this->charge();
    if (charge >= reported_) return charge > reported_;
    const shm::Units fall = reported_ - charge;
    if (fall >= std::max(reported_ / kGoodPart, reading_.full / kGoodPartOfLimit)) return true;
    return fall >= reported_ / kSmallPart && now - reported_at_ >= unit_ * kFallUnits;
}

bool LeaseLimit::active() const noexcept {
    return charge() != 0 || outstanding_ != 0 || charged_for();
}

bool LeaseLimit::sleeps(shm::Nanos now) const noexcept {
    return reading_.lease == 0 && outstanding_ == 0 && idle(now) && !due(now);
}

LeaseReport LeaseLimit::report() const noexcept {
    LeaseReport report;
    report.full = reading_.full;
    report.window_ms = window_ / std::chrono::milliseconds(1);
    report.hold = reading_.lease;
    report.used = reading_.used;
    report.demand = std::min(reading_.full, reading_.used + static_cast<shm::Units>(pressure_));
    report.need = need();
    const shm::Units kept = std::min(reading_.lease, reading_.full);
    report.ask = outstanding_ == 0 && idle(observed_) ? kept : std::max(ask(), kept);
    return report;
}

LeaseReport LeaseLimit::farewell() const noexcept {
    LeaseReport report;
    report.full = reading_.full;
    report.window_ms = window_ / std::chrono::milliseconds(1);
    return report;
}

void LeaseLimit::told(const LeaseReport& report, shm::Nanos now) noexcept {
    reported_ = std::max(report.hold, report.used);
    demanded_ = report.demand;
    reported_at_ = now;
}

void LeaseLimit::answered(const LeaseReport& report, shm::Units lease, shm::Nanos now) noexcept {
    told(report, now);
    asked_ = report.ask;
    reported_ = std::max(reported_, lease);
    content_until_ = now + unit_ * (lease < report.ask ? kScarceRest : 1);
    if (report.need <= report.hold) return;
    ++raises_;
    if (lease >= report.need) {
        fruitless_ = 0;
        barren_until_ = {};
    } else {
        barren_until_ = now + unit_ * kRests[std::min<std::size_t>(fruitless_, std::size(kRests) - 1)];
        ++fruitless_;
    }
}

}  // namespace weir::router
