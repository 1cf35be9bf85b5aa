// Where one attempt of a request goes: the deployments of its group are asked, and if all are full
// the request waits for its turn, if it may.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "router/account.hpp"
#include "router/api_error.hpp"
#include "router/outcome.hpp"
#include "router/request_bounds.hpp"
#include "router/router.hpp"
#include "router/wait_room.hpp"
#include "shm/lease.hpp"

namespace weir::router {

class Search final : private Guest {
 public:
    struct Terms {
        bool stream = false;
        std::uint8_t priority = kPriorityDefault;  ///< lower first
        shm::Nanos began{};
        shm::Nanos give_up_at{};  ///< not after `began`: it does not wait
        std::span<const std::string> tags{};
        std::uint64_t owner = 0;  ///< of the request, for the fair use of the queue; 0: the operator
    };

    /// Both must outlive it.
    Search(Router& router, Account& account) : router_(router), account_(account) {}

    void set_terms(const Terms& terms) noexcept { terms_ = terms; }

    /// From now on among the deployments of `group`, none of which has failed yet.
    void begin(const Router::Group& group);

    /// Where an attempt has failed; that deployment is asked last from now on.
    void avoid(Deployment* deployment) { failed_.push_back(deployment); }

    /// Whether this request may go there, by its tags and the length of its prompt.
    bool may_use(const Deployment& deployment) const noexcept {
        return tags_.allows(deployment.config().tags) && router_.takes(deployment, input_tokens());
    }

    /// Takes a place, unless others wait for one like it already, in whatever process. If not ok,
    /// error() says why.
    Outcome take();

    /// Whether it failed for want of a lease of which more can be had (lease.hpp).
    bool lacks_lease() const noexcept { return lacks_lease_; }

    /// Waits until this host is given more of a limit that hosts share, and tries again. Not ok when the
    /// time for that is up, which is one for all groups that the request comes to.
    Task<Outcome> wait_for_lease();

    /// Whether waiting may help after take() has failed. `has_fallback`: another group may answer.
    bool may_wait(bool has_fallback) const noexcept;

    /// Waits until there is a place, and takes it. Not ok when the time is up, or after leave().
    Task<Outcome> wait();

    /// The client has gone: ends wait().
    void leave() noexcept { router_.wait_room_.leave(*this); }

    const ApiError& error() const noexcept { return error_; }
    /// Whether one of the caller's own limits refused: then no other group helps.
    bool caller_refused() const noexcept { return caller_refused_; }
    shm::Nanos decided_at() const noexcept { return now_; }
    /// In all, so far.
    shm::Nanos waited() const noexcept { return waited_; }

 private:
    Taken take(shm::Nanos now, LaneName& lane, shm::Nanos& ready_at) override;

    Outcome take_or_queue();
    Outcome ask(shm::Nanos now);
    shm::Nanos ready_at(shm::Nanos now);
    std::optional<LaneName> busy_lane(shm::Nanos now) const;
    LaneName group_lane() const noexcept;
    LaneName lane_of(const NoPlace& refusal) const noexcept;
    Router::Asked candidates(shm::Nanos now);
    shm::Units input_tokens() const noexcept { return account_.bill().caller().reserve.input_tokens; }
    void refuse(ApiError error, bool waitable);
    void note_shortage(const NoPlace& refusal);

    Router& router_;
    Account& account_;
    Terms terms_;
    TagFilter tags_;
    const Router::Group* group_ = nullptr;
    std::vector<Deployment*> failed_;
    ApiError error_;
    LaneName lane_;           // of the latest refusal
    shm::Nanos ready_at_{};   // likewise
    bool waitable_ = false;   // likewise
    bool timed_ = false;      // likewise: nothing can make ready_at_ earlier
    bool caller_refused_ = false;
    bool lacks_lease_ = false;
    shm::Shortage shortage_;  // of the latest refusal
    Deployment* short_at_ = nullptr;  // likewise
    shm::Nanos now_{};
    std::uint64_t grants_seen_ = 0;  // raised leases, before the latest refusal
    shm::Nanos waited_{};
    shm::Nanos waited_for_lease_{};  // in all, of what a request may
};

}  // namespace weir::router
