// Who may use the proxy, what, and how much: the key of a request, checked.
//
// Keys are kept as their SHA-256 and compared in constant time, so neither memory nor timing tells
// one; a connection's memory has the one that its client presented. No key appears in a message.
//
// Keys are declared in the configuration; whoever wants to keep them elsewhere fills an Identity
// from there.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "proxy/caller.hpp"
#include "proxy/sha256.hpp"
#include "router/api_error.hpp"
#include "router/config.hpp"
#include "router/fields.hpp"

namespace weir::proxy {

/// Whose models are confined, and to which.
struct Confinement {
    std::string kind;  ///< "key", "user", "team" or "end_user"
    std::string name;
    const std::vector<std::string>* models;  ///< not empty; groups, other names, and patterns with a '*'
};

/// Whom a key belongs to, and what it may do.
struct Identity {
    std::string name;                           ///< "master key", or as configured; for logs
    const router::KeyConfig* config = nullptr;  ///< null for the master key and for anybody
    std::vector<std::shared_ptr<LimitSet>> limits;
    std::vector<Confinement> confined;  ///< the key itself, its user, its team; those that are confined
    std::uint64_t owner = 0;  ///< tells keys apart in the queue; 0 for the master key and for anybody
    std::optional<router::RequestBounds> bounds{};  ///< empty for the master key and for anybody
};

/// A model as it was asked for, and the group that it stands for.
struct AskedModel {
    std::string_view name;
    std::string_view group;  ///< empty if there is none
};

class Keys {
 public:
    /// With no key configured, everybody may do everything, as in LiteLLM. Throws
    /// std::runtime_error if a key has more limits than one admission can span, and
    /// shm::DirectoryFull. `config` must outlive it.
    Keys(const router::RouterConfig& config, shm::Segment& segment);

    /// Whom `fields` identify: by general_settings.litellm_key_header_name or "x-litellm-api-key", which
    /// go first, for `authorization` may be meant for somebody else; by "authorization: Bearer …", or as the
    /// clients of other providers send it. Otherwise a 401 that says what is missing. `unix_now` tells the
    /// time since 1970, if the key expires. `last` is the connection's, to be kept from one request to the
    /// next.
    std::variant<const Identity*, router::ApiError> identify(const router::Fields& fields,
                                                             LastDigest& last,
                                                             shm::Nanos (*unix_now)()) const;

    /// The model that `identity` means by `model`, where it has an alias for it.
    static std::string_view resolve(const Identity& identity, std::string_view model) noexcept;

    /// Empty if `identity` may ask for `model` on behalf of `end_user` (may be empty); else the 403.
    std::optional<router::ApiError> check_model(const Identity& identity, const AskedModel& model,
                                                std::string_view end_user) const;

    /// What a request of `identity` for `model` on behalf of `end_user` (may be empty) counts under.
    void scopes_for(const Identity& identity, std::string_view model, std::string_view end_user,
                    CallerScopes& out);

 private:
    using Digest = Sha256::Digest;
    struct DigestHash {
        std::size_t operator()(const Digest& digest) const noexcept;
    };
    static Digest from_hex(std::string_view hex);

    void add_owner(Identity& identity, std::string_view kind,
                   const std::vector<router::OwnerConfig>& owners, const std::string& name);
    struct EndUser {
        const router::CallerConfig* config;  // null: nothing is said about it
        std::string name;                    // of its counters
    };
    EndUser find_end_user(const Identity& identity, std::string_view end_user) const;
    std::shared_ptr<LimitSet> end_user_set(const Identity& identity, std::string_view end_user);

    const router::RouterConfig& config_;
    shm::Segment& segment_;
    shm::Unit token_unit_ = shm::Unit::tokens;
    Sha256 sha256_;
    std::unordered_map<Digest, std::unique_ptr<Identity>, DigestHash> identities_;
    std::map<std::string, std::shared_ptr<LimitSet>> owners_;  // by kind and name
    std::unordered_map<std::string, std::shared_ptr<LimitSet>> end_users_;
    std::optional<router::Hold> everybody_;  // global_max_parallel_requests
    Identity anybody_{"anonymous", nullptr, {}, {}};
};

/// What is to be said of a configuration by which nobody is asked for a key; nothing where one is.
std::optional<router::Problem> open_door(const router::RouterConfig& config);

}  // namespace weir::proxy
