// Whose turn it is when capacity returns and requests of several processes wait for it.
//
// Within a process the order is exact (wait_list.hpp). Between processes nobody knows who came
// first; what all of them know is for how many waiting requests a part is claimed, by bands of
// priority. So each process takes its part of the room in proportion to its part of the claims,
// after leaving room for more urgent ones elsewhere. A fraction of a request is drawn by lot. Then it
// withdraws its claims for a moment: so the parts come out the same in whatever order processes
// take them, and what is left over because others did not come is shared anew.
//
// Thread safety: pure.
#pragma once

#include <cstdint>

#include "router/strategy.hpp"
#include "shm/clock.hpp"

namespace weir::router {

/// Priorities 0 .. 255 in bands of 64: between processes they are told apart no finer.
inline constexpr std::size_t kBands = 4;
constexpr std::size_t band_of(std::uint8_t priority) noexcept { return priority / 64; }

/// After standing back so often in a row, with room there for all that time, a process goes ahead:
/// those for whom it was left seem to be stuck.
inline constexpr unsigned kStandBackMax = 10;

/// How those who wait for one thing stand at this moment.
struct Crowd {
    std::uint64_t room = 0;    ///< requests that would pass now
    std::uint64_t own = 1;     ///< waiting in this process, in the band of its first; at least 1
    std::uint64_t all = 1;     ///< claimed in that band everywhere, this process included
    std::uint64_t urgent = 0;  ///< claimed by other processes in more urgent bands
    unsigned stood_back = 0;   ///< how often this process has taken nothing, in a row
};

/// How many requests this process may take now.
std::uint64_t turns(const Crowd& crowd, RandomSource random) noexcept;

/// For how long to withdraw the claims: 10 to 20 ms, by chance, so that processes fall out of step.
shm::Nanos stand_back_time(RandomSource random) noexcept;

}  // namespace weir::router
