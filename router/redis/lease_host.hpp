// A host's side of the coordination: when to send which beat, what its answer means, and what to do when
// there is none.
//
// Events in, beats out; the driver (coordination.hpp) sends them, and the simulation does so in virtual time.
//
// Thread safety: none. Pure: time comes in as an argument, and the segment through LeaseAccess.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/config.hpp"
#include "router/redis/lease_message.hpp"
#include "router/redis/lease_roster.hpp"
#include "shm/lease.hpp"

namespace weir::router {

struct LeaseTiming {
    shm::Nanos lease = std::chrono::seconds(15);          ///< how long it is good without another beat
    shm::Nanos margin = std::chrono::milliseconds(500);   ///< by which the store holds it longer
    shm::Nanos patience = std::chrono::milliseconds(20);  ///< of requests that wait for a lease
    shm::Nanos first_contact = std::chrono::seconds(1);   ///< then a new host does without
    shm::Nanos retry_most = std::chrono::seconds(1);      ///< between attempts
    /// When a lease is renewed in any case. What is left of its time then is for attempts that fail.
    shm::Nanos renew() const noexcept {
        const shm::Nanos spare = std::chrono::seconds(5);
        return std::max(lease / 3, std::min(lease * 2 / 3, lease - spare));
    }
};

struct LeaseRules {
    std::uint64_t host = 0;
    FailMode fail_mode = FailMode::share;
    std::uint64_t hosts_expected = 1;
    LeaseTiming timing{};
};

/// What a host may use of `full` while it has no contact. `lease` is what it had; `settled` says that every
/// other host has been without contact for so long that all of them keep to their shares.
shm::Units lease_without_contact(FailMode mode, shm::Units lease, shm::Units full, std::uint64_t hosts,
                                 bool settled) noexcept;

/// Whether that is so by `now` for a limit over `window`, if this host lost contact at `lost_at` or before.
/// One that has never had `contact` knows of nobody.
bool share_is_due(const shm::LeaseContact& contact, shm::Nanos lost_at, shm::Nanos window, shm::Nanos lease,
                  shm::Nanos now) noexcept;

/// The mode that a fail mode leads to.
shm::LeaseMode mode_without_contact(FailMode mode) noexcept;

class LeaseHost {
 public:
    /// Goes on from what the segment knows of the contact, be it from a coordinator that has died.
    LeaseHost(const LeaseRules& rules, LeaseAccess& access, const shm::LeaseContact& contact, shm::Nanos now);

    /// A limit has come. Its number is not another's. Not while an answer is awaited.
    void add(LeaseSubject subject);

    /// It has gone: nobody is admitted by it any more. Not while an answer is awaited.
    void remove(std::size_t limit);

    /// A request has found too little: the next poll looks at every limit.
    void somebody_waits() noexcept { roster_.somebody_waits(); }

    /// Looks around, gives up what is not needed, changes over when the lease has run out, and returns the
    /// beat to send if it is time for one. Then `answered` or `failed` must follow before there is another.
    std::optional<Beat> poll(shm::Nanos now, std::uint64_t nonce);

    /// The answer to the last beat. False if it came too late to be believed.
    bool answered(const BeatAnswer& answer, shm::Nanos now);

    /// There was none, or none that made sense.
    void failed(shm::Nanos now);

    /// Gives everything up but what is used, and registers anew with that. Not while a beat is under way.
    void give_up(shm::Nanos now);

    /// What the segment is to know.
    const shm::LeaseContact& contact() const noexcept { return contact_; }
    std::uint64_t hosts() const noexcept;

    /// When poll() is next needed, whatever happens, unless a request wants something.
    shm::Nanos next_poll(shm::Nanos now) const noexcept;

 private:
    using Entry = LeaseRoster::Entry;

    void look(shm::Nanos now);
    void give_surplus_back(shm::Nanos now);
    void set(Entry& entry, shm::Units lease, shm::Nanos now);
    void rest(shm::Nanos now);
    void lose_contact(shm::Nanos now);
    void settle(shm::Nanos now);
    void unbar();
    bool time_to_send(shm::Nanos now) const;
    void begin_registration(shm::Nanos now);
    Beat make_beat(shm::Nanos now, std::uint64_t nonce);
    void add_reports(Beat& beat, shm::Nanos now);
    void tell(const Beat& beat, shm::Nanos now);
    void apply(const Beat& beat, const BeatAnswer& answer, shm::Nanos now);

    LeaseRules rules_;
    LeaseAccess& access_;
    shm::LeaseContact contact_;
    shm::Nanos started_;
    bool resting_;        // it has no lease yet, and admits nothing
    shm::Nanos lost_at_;  // since when it has been without one, or later
    LeaseRoster roster_;
    std::optional<Beat> pending_;
    shm::Nanos sent_at_{};
    shm::Nanos took_{};  // what answers take, of late
    shm::Nanos renew_at_{};  // when the next beat is due in any case
    shm::Nanos retry_at_{};  // not before, after a failure
    shm::Nanos backoff_{};
    bool barred_ = true;  // requests may have been told not to wait, perhaps by a predecessor
    bool registering_ = false;
    bool told_some_ = false;      // of the registration that is under way
    bool owes_registration_;      // it does not know all that the store charges it
    std::uint64_t epoch_ = 0;     // of the latest registration: the sequence number that it began with
    std::size_t next_entry_ = 0;  // of those awake, where the next beat begins: one may not hold them all
    std::vector<LeaseReport> departed_;  // limits that are gone, and still charged
};

}  // namespace weir::router
