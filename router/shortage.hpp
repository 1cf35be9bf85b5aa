// Whether a failure is for want of something of our own: descriptors, ports, memory. Then it says nothing
// about the upstream.
//
// Thread safety: any.
#pragma once

#include "router/net.hpp"

namespace weir::router {

/// Whether `error` says so.
bool is_own_shortage(const ErrorCode& error) noexcept;

/// Whether this process can open another descriptor now. Some functions fail without a word of it.
bool has_descriptors() noexcept;

}  // namespace weir::router
