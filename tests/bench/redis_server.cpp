#include "tests/bench/redis_server.hpp"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "tests/multiprocess/crew.hpp"
#include "tests/support/loopback.hpp"

namespace weir::bench {

namespace {

constexpr auto kPatience = std::chrono::seconds(15);

std::string temporary_directory() {
    std::string path = (std::filesystem::temp_directory_path() / "weir-bench-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory for Redis");
    return path;
}

/// A port that is free now; somebody may be faster, so whoever uses it tries again.
int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const std::uint16_t port = test::bind_to_free_port(fd);
    if (fd >= 0) ::close(fd);
    if (port == 0) throw std::runtime_error("no free port for Redis");
    return port;
}

}  // namespace

struct RedisServer::Process {
    shm::test::Child child;
};

RedisServer::RedisServer() : directory_(temporary_directory()), socket_path_(directory_ + "/redis.sock") {
    constexpr int kAttempts = 3;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        if (start()) return;
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
    throw std::runtime_error("redis-server is not installed or does not start");
}

RedisServer::~RedisServer() {
    process_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

bool RedisServer::start() {
    port_ = free_port();
    const std::string port = std::to_string(port_);
    const std::string log = directory_ + "/redis.log";
    process_.reset(new Process{shm::test::Child([&] {
        ::execlp("redis-server", "redis-server", "--bind", "127.0.0.1", "--port", port.c_str(),
                 "--unixsocket", socket_path_.c_str(), "--dir", directory_.c_str(), "--logfile",
                 log.c_str(), "--save", "", "--appendonly", "no", static_cast<char*>(nullptr));
        return 127;
    })});
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until) {
        int code = 0;
        if (process_->child.has_ended(code)) return false;
        if (answers()) return true;
        ::poll(nullptr, 0, 10);
    }
    return false;
}

bool RedisServer::answers() const {
    redisContext* context = ::redisConnectUnix(socket_path_.c_str());
    if (context == nullptr) return false;
    void* reply = context->err == 0 ? ::redisCommand(context, "PING") : nullptr;
    const bool answered = reply != nullptr;
    if (answered) ::freeReplyObject(reply);
    ::redisFree(context);
    return answered;
}

}  // namespace weir::bench
