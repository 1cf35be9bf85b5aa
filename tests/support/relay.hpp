// A way to a server on this machine that can be made to stall, and to break.
//
// While it stalls nothing passes in either direction, and what is sent meanwhile is there when it goes on; or
// is lost with its connection, if that is cut. To its peers this is what heavy packet loss looks like.
//
// Thread safety: all of it.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/loopback.hpp"
#include "tests/support/wait.hpp"

namespace weir::test {

class Relay {
 public:
    /// To 127.0.0.1:`target`.
    explicit Relay(std::uint16_t target) : target_(target), listener_(tcp_socket()) {
        port_ = bind_to_free_port(listener_);
        if (port_ == 0 || ::listen(listener_, 64) != 0) throw std::runtime_error("no port for a relay");
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    ~Relay() {
        thread_.request_stop();
        thread_.join();
        cut_all();
        ::close(listener_);
    }
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    void stall() {
        change([](State& state) { state.stalls = true; });
    }
    void go_on() {
        change([](State& state) { state.stalls = false; });
    }
    /// Ends all connections, and waits until they are.
    void cut() {
        change([](State& state) { state.cuts = true; });
        wait_until([this] { return !state().cuts; });
    }

    /// How many have come so far.
    int connections() const { return state().connections; }

 private:
    struct State {
        bool stalls = false;
        bool cuts = false;  // until it is done
        int connections = 0;
    };
    struct Pair {
        int client;
        int server;
    };

    static constexpr std::chrono::milliseconds kLook{2};

    State state() const {
        const std::lock_guard lock(mutex_);
        return state_;
    }
    template <class Change>
    void change(Change change) {
        const std::lock_guard lock(mutex_);
        change(state_);
    }

    static int tcp_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

    void run(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            if (state().cuts) {
                cut_all();
                change([](State& state) { state.cuts = false; });
            }
            if (state().stalls) {
                std::this_thread::sleep_for(kLook);
                continue;
            }
            std::vector<pollfd> watched{{listener_, POLLIN, 0}};
            for (const Pair& pair : pairs_) {
                watched.push_back({pair.client, POLLIN, 0});
                watched.push_back({pair.server, POLLIN, 0});
            }
            ::poll(watched.data(), watched.size(), kLook.count());
            if (state().stalls || state().cuts) continue;
            std::vector<Pair> alive;
            for (std::size_t i = 0; i < pairs_.size(); ++i) {
                const Pair& pair = pairs_[i];
                const bool passed = (watched[1 + 2 * i].revents == 0 || pass(pair.client, pair.server)) &&
                                    (watched[2 + 2 * i].revents == 0 || pass(pair.server, pair.client));
                passed ? alive.push_back(pair) : close(pair);
            }
            pairs_ = std::move(alive);
            if (watched[0].revents != 0) take_one();
        }
    }

    void take_one() {
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) return;
        change([](State& state) { ++state.connections; });
        const Pair pair{client, tcp_socket()};
        if (!connect_to(pair.server, target_)) return close(pair);
        pairs_.push_back(pair);
    }

    /// What is there now, if anything. False at the end.
    static bool pass(int from, int to) {
        char bytes[65536];
        const ssize_t count = ::recv(from, bytes, sizeof bytes, 0);
        return count > 0 && ::send(to, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL) == count;
    }

    static void close(const Pair& pair) {
        ::close(pair.client);
        ::close(pair.server);
    }
    void cut_all() {
        for (const Pair& pair : pairs_) close(pair);
        pairs_.clear();
    }

    std::uint16_t target_;
    int listener_;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    State state_;              // by the mutex
    std::vector<Pair> pairs_;  // the thread's
    std::jthread thread_;
};

}  // namespace weir::test
