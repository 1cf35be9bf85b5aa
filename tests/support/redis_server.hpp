// A redis-server of one's own: on any free port, with its data in a temporary folder, ended with the object.
//
// Where there is no redis-server, `available()` is false, and a test says so and is skipped.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "router/redis/redis_value.hpp"
#include "tests/support/loopback.hpp"

namespace weir::test {

/// A plain, blocking client. Throws std::runtime_error when the connection fails.
class PlainRedis {
 public:
    explicit PlainRedis(std::uint16_t port) {
        socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!connect_to(socket_, port)) {
            ::close(socket_);
            throw std::runtime_error("cannot connect to redis-server");
        }
        set_patience(socket_, 10);
    }
    ~PlainRedis() { ::close(socket_); }
    PlainRedis(const PlainRedis&) = delete;
    PlainRedis& operator=(const PlainRedis&) = delete;

    router::RedisValue command(const std::vector<std::string>& words) {
        std::string out;
        router::append_command(words, out);
        if (::send(socket_, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) {
            throw std::runtime_error("cannot write to redis-server");
        }
        for (;;) {
            if (auto value = reader_.next()) return std::move(*value);
            char bytes[65536];
            const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
            if (count <= 0) throw std::runtime_error("redis-server has gone");
            reader_.feed({bytes, static_cast<std::size_t>(count)});
        }
    }

 private:
    int socket_ = -1;
    router::RedisReader reader_;
};

class RedisServer {
 public:
    static std::optional<std::string> program() {
        for (const char* path :
             {"/usr/bin/redis-server", "/usr/bin/valkey-server", "/usr/local/bin/redis-server"}) {
            if (::access(path, X_OK) == 0) return path;
        }
        return std::nullopt;
    }
    static bool available() { return program().has_value(); }

    /// `more` are further settings, as on the command line. `port` 0 is any.
    explicit RedisServer(std::vector<std::string> more = {}, std::uint16_t port = 0)
        : more_(std::move(more)), port_(port) {
        char folder[] = "/tmp/weir-redis-XXXXXX";
        if (!::mkdtemp(folder)) throw std::runtime_error("no temporary folder");
        folder_ = folder;
        // Somebody else may take a port between its choice and its use: then the next one is tried.
        for (int attempt = 0; attempt < 20 && pid_ <= 0; ++attempt) {
            if (port == 0) port_ = free_port();
            start();
        }
        if (pid_ <= 0) throw std::runtime_error("redis-server does not start");
    }
    ~RedisServer() {
        stop();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// Kills it as a crash does. Nothing is saved.
    void stop() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGCONT);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

    /// Starts it again, on the same port and without data but what SAVE has saved.
    void restart() {
        stop();
        start();
        if (pid_ <= 0) throw std::runtime_error("redis-server does not start again");
    }

    void pause() { ::kill(pid_, SIGSTOP); }
    void resume() { ::kill(pid_, SIGCONT); }

    static std::uint16_t free_port() {
        const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const std::uint16_t port = bind_to_free_port(socket);
        ::close(socket);
        // A cluster's bus has the port plus 10,000.
        return port != 0 && port < 55'000 ? port : free_port();
    }

 private:
    void start() {
        std::vector<std::string> words = {program().value_or("redis-server"),
                                          "--port",
                                          std::to_string(port_),
                                          "--bind",
                                          "127.0.0.1",
                                          "--dir",
                                          folder_,
                                          "--save",
                                          "",
                                          "--appendonly",
                                          "no"};
        words.insert(words.end(), more_.begin(), more_.end());
        if (std::find(more_.begin(), more_.end(), "--sentinel") != more_.end()) {
            // A sentinel keeps what it finds out in its configuration, and insists on a file for that.
            const std::string file = folder_ + "/sentinel.conf";
            std::ofstream(file) << "";
            words.insert(words.begin() + 1, file);
        }
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
            const int nowhere = ::open("/dev/null", O_RDWR);
            ::dup2(nowhere, STDIN_FILENO);
            ::dup2(nowhere, STDOUT_FILENO);
            ::dup2(nowhere, STDERR_FILENO);
            ::execv(arguments[0], arguments.data());
            ::_exit(127);
        }
        for (int look = 0; look < 1000; ++look) {
            if (::waitpid(child, nullptr, WNOHANG) == child) return;
            try {
                PlainRedis(port_).command({"CLIENT", "ID"});
                pid_ = child;
                return;
            } catch (const std::runtime_error&) {
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            }
        }
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }

    std::vector<std::string> more_;
    std::uint16_t port_;
    std::string folder_;
    pid_t pid_ = -1;
};

}  // namespace weir::test
