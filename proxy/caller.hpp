// The limits of whoever calls: a key's own, its user's, its team's, and those of the end user that a
// body names. All of them, with the deployment's, are one admission.
//
// Thread safety: none.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/limit_fields.hpp"
#include "router/config.hpp"
#include "router/scope.hpp"
#include "shm/segment.hpp"

namespace weir::proxy {

/// What a request is to be counted under, gathered from several LimitSets.
class LimitSet;
struct CallerScopes {
    std::vector<router::Scope*> windows;
    std::vector<const LimitFieldNames*> names;  ///< of the windows, in their order
    std::vector<router::Hold*> holds;
    std::shared_ptr<LimitSet> end_user;  ///< kept for as long as the pointers may point into it
    void clear() noexcept {
        windows.clear();
        names.clear();
        holds.clear();
        end_user.reset();
    }
};

/// The limits of one key, user, team or end user, in the segment.
class LimitSet {
 public:
    /// `kind` as LiteLLM names it in its headers: "api_key", "user", "team", "end_user". Throws
    /// shm::DirectoryFull when the segment has no room.
    LimitSet(std::string_view kind, std::string_view name, const router::CallerLimitsConfig& limits,
             shm::Nanos window, shm::Unit token_unit, shm::Segment& segment);

    /// Adds what a request for `model` is counted under.
    void append(std::string_view model, CallerScopes& out);

 private:
    struct Window {
        router::Scope scope;
        LimitFieldNames names;
    };
    static void append(std::deque<Window>& windows, CallerScopes& out);

    std::deque<Window> windows_;
    std::map<std::string, std::deque<Window>, std::less<>> by_model_;
    std::optional<router::Hold> hold_;
};

}  // namespace weir::proxy
