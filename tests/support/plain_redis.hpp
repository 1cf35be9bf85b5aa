// A plain, blocking client of a Redis on this machine, for what a test has to tell it or wants to know.
//
// Thread safety: none. Errors throw std::runtime_error.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "router/redis/redis_value.hpp"
#include "tests/support/loopback.hpp"

namespace weir::test {

class PlainRedis {
 public:
    explicit PlainRedis(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (!connect_to(socket_, port)) {
            ::close(socket_);
            throw std::runtime_error("cannot connect to the Redis");
        }
        set_patience(socket_, 10);
    }
    ~PlainRedis() { ::close(socket_); }
    PlainRedis(const PlainRedis&) = delete;
    PlainRedis& operator=(const PlainRedis&) = delete;

    /// Sends one command and returns its answer, which may be an error of Redis' own.
    router::RedisValue command(const std::vector<std::string>& words) {
        std::string out;
        router::append_command(words, out);
        if (::send(socket_, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) {
            throw std::runtime_error("cannot write to the Redis");
        }
        for (;;) {
            if (auto value = reader_.next()) return std::move(*value);
            char bytes[65536];
            const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
            if (count <= 0) throw std::runtime_error("the Redis has gone");
            reader_.feed({bytes, static_cast<std::size_t>(count)});
        }
    }

 private:
    int socket_;
    router::RedisReader reader_;
};

}  // namespace weir::test
