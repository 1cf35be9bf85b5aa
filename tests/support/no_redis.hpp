// Where a test that needs a Redis begins: `if (no_redis()) return;`
#pragma once

#include <catch2/catch.hpp>

#include "tests/support/redis_server.hpp"

namespace weir::test {

/// Whether there is none to start. The test's report then says so.
inline bool no_redis() {
    if (RedisServer::available()) return false;
    WARN("skipped: there is no redis-server");
    return true;
}

}  // namespace weir::test
