#include "tests/bench/redis_subjects.hpp"

#include <hiredis/hiredis.h>

#include <stdexcept>
#include <string>

#include "shm/clock.hpp"

namespace weir::bench {

namespace {

/// KEYS[1] is the limiter; ARGV: limit, the tick's length in microseconds, units. As with Weir, the fields of
/// a tick are emptied when time comes to it, and a refusal charges nothing.
constexpr const char* kScript = R"lua(
local limit, length, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local tick = math.floor((time[1] * 1000000 + time[2]) / length)
local state = redis.call('HMGET', KEYS[1], 'tick', 'total')
local last, total = tonumber(state[1]) or tick, tonumber(state[2]) or 0
for k = math.max(last + 1, tick - 62), tick do
  total = total - (tonumber(redis.call('HGET', KEYS[1], k % 63)) or 0)
  redis.call('HDEL', KEYS[1], k % 63)
end
if total + units > limit then
  if last < tick then redis.call('HSET', KEYS[1], 'tick', tick, 'total', total) end
  return 0
end
redis.call('HSET', KEYS[1], 'tick', tick, 'total', total + units)
redis.call('HINCRBY', KEYS[1], tick % 63, units)
return 1
)lua";

constexpr std::uint64_t kOperations = 100;  // some milliseconds

struct Closer {
    void operator()(redisContext* context) const noexcept { ::redisFree(context); }
};
using Connection = std::unique_ptr<redisContext, Closer>;

struct Reply {
    redisReply* it;
    explicit Reply(void* reply) : it(static_cast<redisReply*>(reply)) {
        if (it == nullptr || it->type == REDIS_REPLY_ERROR) {
            const std::string why = it == nullptr ? "no answer" : it->str;
            if (it != nullptr) ::freeReplyObject(it);
            throw std::runtime_error("Redis: " + why);
        }
    }
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
    ~Reply() { ::freeReplyObject(it); }
};

class RedisSubject final : public Subject {
 public:
    RedisSubject(std::string name, Connection connection)
        : Subject(std::move(name)), connection_(std::move(connection)) {
        if (!connection_ || connection_->err != 0) throw std::runtime_error("Redis: no connection");
        const Reply loaded(::redisCommand(connection_.get(), "SCRIPT LOAD %s", kScript));
        script_ = loaded.it->str;
    }

    Round round() override {
        const shm::Nanos begin = shm::now();
        for (std::uint64_t i = 0; i < kOperations; ++i) {
            const Reply admitted(::redisCommand(connection_.get(),
                                                "EVALSHA %s 1 weir-bench:%s 1000000000 1000000 1",
                                                script_.c_str(), name().c_str()));
            if (admitted.it->integer != 1) throw std::logic_error("Redis refused what it was to admit");
        }
        return {kOperations, static_cast<double>((shm::now() - begin).count()), false};
    }
    unsigned turns_per_round() const noexcept override { return 2; }
    std::string note() const override { return "one EVALSHA and its answer, real time"; }

 private:
    Connection connection_;
    std::string script_;
};

}  // namespace

std::vector<std::unique_ptr<Subject>> redis_subjects(const test::RedisServer& server) {
    std::vector<std::unique_ptr<Subject>> all;
    all.push_back(std::make_unique<RedisSubject>(
        "redis_unix", Connection(::redisConnectUnix(server.socket_path().c_str()))));
    all.push_back(std::make_unique<RedisSubject>("redis_tcp",
                                                 Connection(::redisConnect("127.0.0.1", server.port()))));
    return all;
}

}  // namespace weir::bench
