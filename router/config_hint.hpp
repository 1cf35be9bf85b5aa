// What a setting that nobody knows may have been meant to be.
//
// Private to the reading of configurations. Thread safety: pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weir::router {

/// The name among `known` that is nearest to `key`: a few letters wrong, missing, too many or swapped,
/// or `-` for `_`. Empty if none is near.
std::string_view near_name(std::string_view key, std::span<const std::string_view> known) noexcept;

/// What to say behind the complaint about `key`, where `known` would have been understood: where else it
/// belongs, or what it may be a slip for. Empty if there is nothing to say.
std::string hint_for(std::string_view key, std::span<const std::string_view> known);

}  // namespace weir::router
