// What speaks as a Redis does, and says what a test wants.
//
// Thread safety: all of it. The script is called by a thread of its own.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "router/redis/redis_value.hpp"
#include "tests/support/loopback.hpp"

namespace weir::test {

class ScriptedRedis {
 public:
    /// What a command is answered with, as it stands on the wire; empty to end the connection instead.
    using Script = std::function<std::string(const std::vector<std::string>& command)>;

    explicit ScriptedRedis(Script script)
        : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        port_ = bind_to_free_port(listener_);
        if (port_ == 0 || ::listen(listener_, 64) != 0) throw std::runtime_error("no port for a Redis");
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    ~ScriptedRedis() {
        thread_.request_stop();
        thread_.join();
        for (const auto& client : clients_) ::close(client->socket);
        ::close(listener_);
    }
    ScriptedRedis(const ScriptedRedis&) = delete;
    ScriptedRedis& operator=(const ScriptedRedis&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// How many have come so far.
    int connections() const { return state().connections; }

    /// How many have come so far, be they answered or not.
    int commands() const { return state().commands; }

 private:
    struct State {
        int connections = 0;
        int commands = 0;
    };
    struct Client {
        int socket;
        router::RedisReader reader;  // a command is an array of texts, like an answer
    };

    State state() const {
        const std::lock_guard lock(mutex_);
        return state_;
    }
    void add_to(int State::* what) {
        const std::lock_guard lock(mutex_);
        ++(state_.*what);
    }

    void run(const std::stop_token& stop) {
        constexpr int kLookMs = 2;
        while (!stop.stop_requested()) {
            std::vector<pollfd> watched{{listener_, POLLIN, 0}};
            for (const auto& client : clients_) watched.push_back({client->socket, POLLIN, 0});
            ::poll(watched.data(), watched.size(), kLookMs);
            std::vector<std::unique_ptr<Client>> alive;
            for (std::size_t i = 0; i < clients_.size(); ++i) {
                if (watched[i + 1].revents == 0 || serve(*clients_[i])) {
                    alive.push_back(std::move(clients_[i]));
                } else {
                    ::close(clients_[i]->socket);
                }
            }
            clients_ = std::move(alive);
            if (watched[0].revents != 0) {
                const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
                if (socket < 0) continue;
                add_to(&State::connections);
                clients_.push_back(std::make_unique<Client>(Client{socket, {}}));
            }
        }
    }

    /// False at the end.
    bool serve(Client& client) {
        char bytes[65536];
        const ssize_t count = ::recv(client.socket, bytes, sizeof bytes, 0);
        if (count <= 0) return false;
        client.reader.feed({bytes, static_cast<std::size_t>(count)});
        while (const auto command = client.reader.next()) {
            std::vector<std::string> words;
            for (const auto& word : command->elements) words.push_back(word.text);
            add_to(&State::commands);
            const std::string answer = script_(words);
            if (answer.empty()) return false;
            if (::send(client.socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return false;
        }
        return true;
    }

    Script script_;
    int listener_;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    State state_;                                   // by the mutex
    std::vector<std::unique_ptr<Client>> clients_;  // the thread's
    std::jthread thread_;
};

}  // namespace weir::test
