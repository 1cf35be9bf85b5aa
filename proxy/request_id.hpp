// The name of a request, by which a client, the proxy's log and the upstream's log can be laid side
// by side.
//
// Thread safety: an IdSource belongs to one thread.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace weir::proxy {

class IdSource {
 public:
    explicit IdSource(std::uint64_t seed) : random_(seed) {}

    /// `given` (what the client sent as x-request-id) if it is 1 to 128 printable characters without
    /// spaces; otherwise a new UUID of version 4.
    std::string choose(std::string_view given);

 private:
    std::mt19937_64 random_;
};

}  // namespace weir::proxy
