// Who may use the proxy and how much: the keys, users and teams that a configuration declares.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/request_bounds.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// Limits of a caller. Empty ones do not exist.
struct CallerLimitsConfig {
    std::optional<std::uint64_t> rpm;  ///< requests in a window (WeirSettings::window)
    std::optional<std::uint64_t> tpm;  ///< tokens in a window
    std::optional<std::uint64_t> rpd;  ///< requests in 24 hours
    std::optional<std::uint64_t> tpd;  ///< tokens in 24 hours
    std::optional<std::uint64_t> max_parallel_requests;           ///< over all processes
    std::map<std::string, std::uint64_t, std::less<>> model_rpm;  ///< by model group
    std::map<std::string, std::uint64_t, std::less<>> model_tpm;
};

/// What keys, users, teams and end users have in common.
struct CallerConfig {
    CallerLimitsConfig limits;
    std::vector<std::string> models;  ///< groups that may be asked for; empty: all
};

/// A user, a team or an end user.
struct OwnerConfig : CallerConfig {
    std::string name;  ///< unique among its kind; the identity of its counters
};

struct KeyConfig : CallerConfig {
    std::string name;  ///< unique; the identity of its counters; shown in logs instead of the key
    std::string key;   ///< in clear, or empty where key_sha256 is given
    std::string key_sha256;  ///< 64 lower-case hexadecimal digits, or empty where key is given
    std::string user;        ///< whose limits count too; may be one that is not declared
    std::string team;
    std::string priority;               ///< a name in priority_reservation
    std::optional<shm::Nanos> expires;  ///< since 1970
    bool blocked = false;
    std::optional<CallerConfig> end_user;  ///< for each `user` that this key's bodies name
    std::map<std::string, std::string, std::less<>> aliases;  ///< model names of this key alone
    RequestBounds request_options;  ///< where it says nothing, WeirSettings::request_options does
};

}  // namespace weir::router
