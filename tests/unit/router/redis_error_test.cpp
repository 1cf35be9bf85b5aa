#include "router/redis/redis_error.hpp"

#include <catch2/catch.hpp>

using namespace weir::router;

namespace {

RedisValue error(std::string text) {
    RedisValue value;
    value.kind = RedisValue::Kind::error;
    value.text = std::move(text);
    return value;
}

std::string explained_of_store(const std::string& text) {
    return explained(error(text), store_needs("mine"));
}

}  // namespace

TEST_CASE("missing rights are told from other errors, in each engine's words, and named") {
    const std::string rights =
        "; the user needs ~{mine}:* +evalsha +script|load +select +time +hmget +hset +hgetall +hdel +del "
        "+pexpire";
    for (const std::string text : {
             "NOPERM this user has no permissions to run the 'evalsha' command",
             "ERR The user executing the script can't run this command or subcommand script: 20…, on "
             "@user_script:1.",
             "ERR The user executing the script can't access at least one of the keys mentioned in the "
             "command arguments script: 20…, on @user_script:1.",
             "ERR ACL failure in script: User u has no permissions to run the 'hset' command script: 20…, on "
             "@user_script:1.",
         }) {
        CHECK(explained_of_store(text) == text + rights);
    }
    CHECK(explained(error("NOPERM User w has no permissions to run the 'sentinel' command"), sentinel_needs())
              .ends_with("; the user needs +sentinel|get-master-addr-by-name"));
}

TEST_CASE("what there is no advice for stays the server's own word") {
    CHECK(explained_of_store("ERR Error running script") == "ERR Error running script");
    CHECK(explained_of_store("NOAUTH Authentication required.") ==
          "NOAUTH Authentication required.; a password is needed (redis_password)");
    CHECK(explained(error("NOAUTH Authentication required."), sentinel_needs())
              .ends_with("; a password is needed (sentinel_password)"));
}

TEST_CASE("another server may fare better after some errors only") {
    CHECK(ends_connection(error("READONLY You can't write against a read only replica.")));
    CHECK(ends_connection(error("MASTERDOWN Link with MASTER is down")));
    CHECK_FALSE(ends_connection(error("NOPERM no")));
    CHECK_FALSE(ends_connection(error("TRYAGAIN Multiple keys request during rehashing of slot")));
}
