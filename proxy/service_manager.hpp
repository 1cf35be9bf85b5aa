// The two things that systemd and a service of it say to each other: sockets that it has opened
// beforehand (sd_listen_fds(3)), and how the service is doing (sd_notify(3)). Both are environment
// variables and a datagram; no library is needed.
//
// Thread safety: none. Without a service manager nothing happens.
#pragma once

#include <optional>
#include <string_view>

namespace weir::proxy {

/// The listening socket that was handed down, once: its variables are removed from the environment,
/// so that children do not take it for theirs. Throws std::runtime_error if there are several.
std::optional<int> inherited_socket();

/// "READY=1", "RELOADING=1", "STOPPING=1": sends it to NOTIFY_SOCKET, if that is set.
void notify_manager(std::string_view state) noexcept;

/// READY=1 after RELOADING=1 needs to know when the latter was: this sends both its lines.
void notify_reloading() noexcept;

}  // namespace weir::proxy
