// A deployment at run time: where it is, what it may take, and how it fares, all of it shared with
// every other process through the segment.
//
// Thread safety: none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/config.hpp"
#include "router/cost.hpp"
#include "router/provider.hpp"
#include "router/scope.hpp"
#include "router/shares.hpp"
#include "router/upstream.hpp"

namespace weir::router {

class Deployment {
 public:
    /// Finds or makes its limiters. Throws shm::DirectoryFull when the segment has no room.
    Deployment(const DeploymentConfig& config, const RouterConfig& general, shm::Segment& segment,
               const Url& url, Upstream& upstream);

    const DeploymentConfig& config() const noexcept { return config_; }
    std::vector<Scope>& scopes() noexcept { return scopes_; }
    const std::vector<Scope>& scopes() const noexcept { return scopes_; }

    /// Where usage-based routing has tokens counted that no limit counts; null if it needs not. It never
    /// refuses anything.
    Scope* tally() noexcept { return tally_ ? &*tally_ : nullptr; }
    const Scope* tally() const noexcept { return tally_ ? &*tally_ : nullptr; }
    /// Where its tokens are counted: the tally, or else the limit on tokens; null if nowhere.
    const Scope* token_count() const noexcept;

    /// What one priority uses of the deployment's limits, and may use of them at any time.
    struct Share {
        ShareRule rule;
        std::vector<Scope> scopes;  ///< they only count, one for each of scopes()
    };
    /// The share of `priority`; null where limits are not shared by priorities.
    Share* share(std::string_view priority) noexcept;
    const Share* share(std::string_view priority) const noexcept;

    /// How many windows one request is counted under here: its limits, a share of each, the tally.
    std::size_t windows() const noexcept {
        return scopes_.size() * (shares_.empty() ? 1 : 2) + (tally_ ? 1 : 0);
    }

    shm::Gauge in_flight() const noexcept { return hold_.gauge; }
    const Hold& hold() const noexcept { return hold_; }
    shm::Health health() const noexcept { return health_; }
    CostPolicy cost_policy() const noexcept { return config_.cost_policy; }
    Upstream& upstream() const noexcept { return upstream_; }

    /// The model's name for the upstream, as a JSON string; a '*' is in it as it was configured.
    std::string_view model_json() const noexcept { return model_json_; }
    bool has_wildcard() const noexcept { return wildcard_; }

    /// Looks everything up again, after a handle was found to be evicted.
    void look_up(shm::Segment& segment);

    /// The head of a request, appended to `out`.
    struct Head {
        std::string_view endpoint;  ///< "/chat/completions"
        std::string_view part;      ///< what a '*' in the model's name stands for
        std::string_view content_type;
        std::string_view request_id;  ///< may be empty
        std::size_t body_bytes = 0;
    };
    void append_head(const Head& head, std::string& out) const;

 private:
    void share_by(const PrioritySettings& priorities);
    void count_tokens(shm::Nanos window);

    DeploymentConfig config_;
    Upstream& upstream_;
    std::vector<Scope> scopes_;
    std::optional<Scope> tally_;
    std::map<std::string, Share, std::less<>> shares_;  // "" is the default; empty if not configured
    Hold hold_;  // what is in flight
    shm::Health health_;
    std::string model_json_;
    bool wildcard_;
    UpstreamForm form_;
    std::string fixed_fields_;  // the same for every request
};

}  // namespace weir::router
