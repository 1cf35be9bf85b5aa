#include "router/shares.hpp"

#include <algorithm>
#include <cmath>

namespace weir::router {

double share_of(const PrioritySettings& settings, std::string_view priority) noexcept {
    const auto share = settings.shares.find(priority);
    return share == settings.shares.end() ? settings.default_share : share->second;
}

shm::Units reserved_units(shm::Units limit, double share) noexcept {
    if (!(share > 0)) return 0;
    // A hair is added, for 0.9 * 10 is a little less than 9.
    const double units = std::floor(static_cast<double>(limit) * std::min(share, 1.0) + 1e-6);
    return std::min(static_cast<shm::Units>(units), limit);
}

bool share_allows(const ShareRule& rule, const ShareView& view) noexcept {
    const auto fits = [&](shm::Units used, shm::Units most) {
        return view.cost <= most && used <= most - view.cost;
    };
    return fits(view.used_own, reserved_units(view.limit, rule.share)) ||
           fits(view.used, reserved_units(view.limit, rule.threshold));
}

}  // namespace weir::router
