#include "proxy/caller.hpp"

#include <algorithm>

namespace weir::proxy {
namespace {

constexpr shm::Nanos kDay = std::chrono::hours(24);

}  // namespace

LimitSet::LimitSet(std::string_view kind, std::string_view name,
                   const router::CallerLimitsConfig& limits, shm::Nanos window, shm::Unit token_unit,
                   shm::Segment& segment) {
    const auto add = [&](std::deque<Window>& to, std::string scope, std::string scope_name,
                         shm::Unit unit, shm::Nanos length, std::optional<std::uint64_t> units) {
        if (!units) return;
        LimitFieldNames names = limit_field_names(scope, unit, length);
        to.push_back({{std::move(scope), std::move(scope_name), unit, length, *units, {}}, std::move(names)});
        to.back().scope.look_up(segment);
    };
    const std::string own(kind);
    const std::string owner(name);
    add(windows_, own, owner, shm::Unit::requests, window, limits.rpm);
    add(windows_, own, owner, token_unit, window, limits.tpm);
    add(windows_, own, owner, shm::Unit::requests, kDay, limits.rpd);
    add(windows_, own, owner, token_unit, kDay, limits.tpd);
    // A name cannot end in what starts the next part: neither keys nor groups are empty.
    for (const auto& [model, units] : limits.model_rpm) {
        add(by_model_[model], "model_per_" + own, owner + "/" + model, shm::Unit::requests, window, units);
    }
    for (const auto& [model, units] : limits.model_tpm) {
        add(by_model_[model], "model_per_" + own, owner + "/" + model, token_unit, window, units);
    }
    if (limits.max_parallel_requests) {
        hold_ = router::Hold{own, owner, *limits.max_parallel_requests, false, {}};
        hold_->look_up(segment);
    }
}

void LimitSet::append(std::string_view model, CallerScopes& out) {
    append(windows_, out);
    if (const auto own = by_model_.find(model); own != by_model_.end()) append(own->second, out);
    if (hold_) out.holds.push_back(&*hold_);
}

void LimitSet::append(std::deque<Window>& windows, CallerScopes& out) {
    for (Window& window : windows) {
        out.windows.push_back(&window.scope);
        out.names.push_back(&window.names);
    }
}

}  // namespace weir::proxy
