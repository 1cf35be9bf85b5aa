#include "router/redis/redis_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weir::router {
namespace {

bool has(const RedisValue& error, std::string_view words) noexcept {
    return error.text.find(words) != std::string::npos;
}

/// A script may be called, but not what it calls: Redis 7.0 says it the first way, later ones and Valkey the
/// second.
bool lacks_rights(const RedisValue& error) noexcept {
    return error.error_code() == "NOPERM" || has(error, "user executing the script can't") ||
           has(error, "ACL failure in script");
}

std::string advice(const RedisValue& error, const RedisNeeds& needs) {
    const std::string_view code = error.error_code();
    // Who has not said a password may not even send a command of this length.
    if (code == "NOAUTH" || has(error, "unauthenticated")) {
        return fmt::format("a password is needed ({})", needs.password);
    }
    if (code == "WRONGPASS" || has(error, "invalid password")) return "the username or password is wrong";
    if (lacks_rights(error)) return "the user needs " + needs.rights;
    if (code == "READONLY") return "this is a replica, the master is looked for again";
    if (code == "LOADING") return "it will be ready soon";
    if (code == "CLUSTERDOWN") return "it will be tried again";
    if (code == "TRYAGAIN") return "the keys are being moved to another node, it will be tried again";
    return {};
}

}  // namespace

RedisNeeds store_needs(std::string_view prefix) {
    return {"redis_password", fmt::format("~{{{}}}:* +evalsha +script|load +select +time +hmget +hset "
                                          "+hgetall +hdel +del +pexpire",
                                          prefix)};
}

RedisNeeds sentinel_needs() { return {"sentinel_password", "+sentinel|get-master-addr-by-name"}; }

std::string explained(const RedisValue& error, const RedisNeeds& needs) {
    const std::string said = advice(error, needs);
    return said.empty() ? error.text : fmt::format("{}; {}", error.text, said);
}

bool ends_connection(const RedisValue& error) noexcept {
    constexpr std::array<std::string_view, 7> kCodes = {
        "READONLY", "NOAUTH", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "UNBLOCKED", "NOREPLICAS"};
    return std::find(kCodes.begin(), kCodes.end(), error.error_code()) != kCodes.end();
}

}  // namespace weir::router
