// The router: deployments of models, of which each request gets one that has room for it now.
//
// What is decided is decided from the segment, so any number of Routers in any number of processes
// that name the same segment keep the same limits together.
//
// Thread safety: none; a Router belongs to the thread of its io_context. Make one for each thread
// or process. After fork() make it in the child.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/config.hpp"
#include "router/deployment.hpp"
#include "router/failure_log.hpp"
#include "router/placement.hpp"
#include "router/pulse.hpp"
#include "router/redis/coordination.hpp"
#include "router/reply.hpp"
#include "router/request.hpp"
#include "router/strategy.hpp"
#include "router/wait_room.hpp"
#include "shm/participant.hpp"
#include "shm/segment.hpp"

namespace weir::router {

/// How a request is sent, besides what its body says. Views, and what `caller` refers to, must stay
/// good until the answer is there.
struct CompleteOptions {
    std::string_view endpoint = "/chat/completions";     ///< below api_base
    std::string_view content_type = "application/json";  ///< or multipart/form-data with its boundary
    CallerLimits caller{};  ///< of whoever asks: charged together with the deployment's, or not at all
    std::optional<shm::Nanos> max_wait{};  ///< for capacity; goes before what the body says
    std::string_view request_id{};         ///< told to the upstream, if not empty
};

/// What decides alike in a Router: given, so that a test can repeat it.
struct RouterOptions {
    std::string role = "router";  ///< shown by weir-inspect
    std::uint64_t seed = 0;       ///< of its random choices; 0: taken from the operating system
    /// Called with a line for people when an attempt has failed for want of a connection or of a sound
    /// answer; the same line once in ten seconds (failure_log.hpp). Must not throw. Empty: nobody is told.
    std::function<void(std::string_view line)> log{};
};

class Router {
 public:
    /// Opens the segment that `config` names. Throws shm::SegmentError or shm::DirectoryFull.
    Router(asio::io_context& io, const RouterConfig& config, const RouterOptions& options = {});
    ~Router();
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    /// Begins its housekeeping on the io_context: deadlines, the shares of dead processes. stop()
    /// lets the io_context run out of work.
    void start();
    void stop() noexcept;

    /// Ends the contact with other hosts in good order, by `deadline` at the latest; before the process ends.
    Task<void> leave(shm::Nanos deadline);

    /// Another configuration has been read, and `next` made by it and started: what there is but once for
    /// a host, its contact with others, is `next`'s now. Requests under way here can still end.
    void hand_over(Router& next);

    /// Sends one request to a deployment of the model that it names and reads the answer whole. A refusal
    /// or failure is a Reply too, in OpenAI's error shape. For pieces as they come: Call.
    Task<Reply> complete(std::string body, CompleteOptions options = {});

    /// The group that `model` means: a group's name, an alias, the id of a deployment in it, or a name that
    /// a wildcard takes (the longest that does). Empty if there is none.
    std::string_view resolve(std::string_view model) const;

    /// The names that clients may ask for, sorted; those that are hidden, and wildcards, left out.
    std::vector<std::string> models() const;

    /// Visits every deployment in the order of the configuration.
    template <class Visit>
    void each_deployment(Visit&& visit) const {
        for (const auto& deployment : deployments_) visit(std::as_const(*deployment));
    }

    /// How many requests of this process wait for capacity.
    std::size_t waiting() const noexcept { return wait_room_.size(); }

    /// By what the limits hold: on this host alone, or together with others.
    shm::LeaseMode limit_mode() const noexcept {
        return coordination_ ? coordination_->mode() : shm::LeaseMode::local;
    }

    const RouterConfig& config() const noexcept { return config_; }
    shm::Segment& segment() noexcept { return segment_; }
    shm::Participant& participant() noexcept { return participant_; }
    Pulse& pulse() noexcept { return pulse_; }

 private:
    friend class Call;
    friend class Search;
    struct Group {
        std::string_view name;
        std::vector<Deployment*> deployments;
        shm::Health learning;  // of the sizes of prompts and completions
        bool listed = true;
        bool by_tags = true;  // or else it stands for one deployment, whose id was named
    };

    /// What a model's name means.
    struct Target {
        const Group* group = nullptr;  // null: nothing
        std::string_view part;         // what the group's '*' took of the name
    };
    Target find(std::string_view model) const;
    /// `model`, or what it is an alias of; empty if it is nothing.
    std::string_view meaning(std::string_view model) const;

    void index_groups();
    Upstream& upstream_for(const Url& url);

    /// What is to be asked.
    struct Asking {
        const Group& group;
        bool stream = false;
        shm::Units input_tokens = 0;                ///< estimated
        const TagFilter& tags;
        std::span<Deployment* const> last_choice;  ///< they have failed this request already
    };
    struct Asked {
        std::span<Deployment* const> order;  ///< those that are not cooling down; good until the next call
        bool too_long = false;               ///< none takes a prompt of this length
        bool untagged = false;               ///< none has the tags that it would have to have
    };
    Asked candidates(const Asking& asking, shm::Nanos now);

    /// Whether a prompt of this length is for `deployment`, as far as that is to be checked.
    bool takes(const Deployment& deployment, shm::Units input_tokens) const noexcept {
        const auto most = deployment.config().max_input_tokens;
        return !config_.enable_pre_call_checks || !most || input_tokens <= *most;
    }

    /// When the first of a group's deployments that `tags` allows has cooled down.
    shm::Nanos cooled_down_at(const Group& group, const TagFilter& tags) const;

    Candidate snapshot(Deployment& deployment, shm::Nanos now) const;

    /// An attempt has failed, as `text` says.
    void note_failure(std::string_view text);

    asio::io_context& io_;
    RouterConfig config_;
    shm::Segment segment_;
    shm::Participant participant_;
    Pulse pulse_;
    std::shared_ptr<Coordination> coordination_;  // null if this host is alone
    std::mt19937_64 random_;
    std::map<std::string, std::unique_ptr<Upstream>> upstreams_;  // by scheme, host and port
    std::vector<std::unique_ptr<Deployment>> deployments_;
    std::map<std::string, Group, std::less<>> groups_;
    std::vector<const Group*> wildcards_;  // groups with a '*', the longest pattern first
    WaitRoom wait_room_;
    Strategy strategy_ = Strategy::simple_shuffle;
    Chooser chooser_;
    std::vector<Candidate> snapshots_;
    std::vector<Deployment*> order_;
    RequestReader reader_;
    std::function<void(std::string_view)> log_;
    FailureLog failures_;
};

}  // namespace weir::router
