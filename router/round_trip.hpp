// How long a peer takes to answer at least, as the system has measured it.
//
// Thread safety: any.
#pragma once

#include "shm/clock.hpp"

namespace weir::router {

/// The shortest round trip that `socket`, a descriptor of a TCP connection, has seen; 0 if it is not known.
shm::Nanos shortest_round_trip(int socket) noexcept;

}  // namespace weir::router
