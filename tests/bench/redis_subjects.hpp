// The same decision as a Lua script in Redis: a sliding window of 62 ticks on the server's clock.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/support/redis_server.hpp"

namespace weir::bench {

/// redis_unix and redis_tcp: one EVALSHA and its answer, in real time, for the server works while the client
/// waits. `server` must outlive them. Throws std::runtime_error if it cannot be reached.
std::vector<std::unique_ptr<Subject>> redis_subjects(const test::RedisServer& server);

}  // namespace weir::bench
