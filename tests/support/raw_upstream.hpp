// An upstream that a test plays byte for byte: it answers as no server does, and says what it was sent.
//
// Thread safety: each connection is served on a thread of its own; what a test reads is guarded.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/loopback.hpp"
#include "tests/support/wait.hpp"

namespace weir::test {

class RawUpstream {
 public:
    /// The upstream's side of one connection. It is closed when the function that plays it returns.
    class Peer {
     public:
        Peer(int fd, RawUpstream& upstream, int nth) : number(nth), fd_(fd), upstream_(upstream) {}

        /// The next request, its body by its length; empty when the client has left. It counts as arrived.
        std::string request() {
            std::string text = read_head();
            if (text.empty()) return text;
            const std::size_t at = text.find("content-length: ");
            std::size_t body = at == std::string::npos ? 0 : std::stoul(text.substr(at + 16));
            while (body > pending_.size() && more()) {
            }
            body = std::min(body, pending_.size());
            text += pending_.substr(0, body);
            pending_.erase(0, body);
            upstream_.arrive(text);
            return text;
        }
        /// The head of the next request alone. It counts as arrived.
        std::string head() {
            std::string text = read_head();
            if (!text.empty()) upstream_.arrive(text);
            return text;
        }
        /// Reads `bytes` of what follows; false if they do not come.
        bool skip(std::size_t bytes) {
            while (pending_.size() < bytes) {
                if (!more()) return false;
            }
            pending_.erase(0, bytes);
            return true;
        }
        bool send(std::string_view bytes) const {
            while (!bytes.empty()) {
                const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (sent <= 0) return false;
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            }
            return true;
        }
        /// Says that nothing more will come, and goes on reading.
        void half_close() const { ::shutdown(fd_, SHUT_WR); }
        /// Makes closing end the connection by RST.
        void reset_at_close() const {
            const linger at_once{1, 0};
            ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        /// Until the client has left; what it sends meanwhile is not read.
        void wait_for_client() const {
            pollfd state{fd_, POLLRDHUP, 0};
            while (::poll(&state, 1, 100) == 0 && !upstream_.ending()) {
            }
        }
        /// Until the test ends.
        void wait_for_end() const {
            while (!upstream_.ending()) pause_for(std::chrono::milliseconds(3));
        }

        const int number;  ///< of the connection, counted from 0

     private:
        std::string read_head() {
            std::size_t end = std::string::npos;
            while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
                if (!more()) return {};
            }
            std::string head = pending_.substr(0, end + 4);
            pending_.erase(0, end + 4);
            return head;
        }
        bool more() {
            std::array<char, 65536> buffer{};
            pollfd state{fd_, POLLIN, 0};
            while (::poll(&state, 1, 100) == 0) {
                if (upstream_.ending()) return false;
            }
            const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
            if (count > 0) pending_.append(buffer.data(), static_cast<std::size_t>(count));
            return count > 0;
        }

        int fd_;
        RawUpstream& upstream_;
        std::string pending_;
    };

    /// `play` is called for each connection.
    explicit RawUpstream(std::function<void(Peer&)> play)
        : play_(std::move(play)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        port_ = bind_to_free_port(listener_);
        if (port_ == 0 || ::listen(listener_, 64) != 0) throw std::runtime_error("no port for an upstream");
        thread_ = std::thread([this] { accept(); });
    }
    ~RawUpstream() {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        thread_.join();
        for (std::thread& peer : peers_) peer.join();
        ::close(listener_);
    }
    RawUpstream(const RawUpstream&) = delete;
    RawUpstream& operator=(const RawUpstream&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::string base() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

    /// The requests that have arrived, as far as they were read.
    std::vector<std::string> arrivals() const {
        const std::lock_guard lock(mutex_);
        return arrivals_;
    }
    int connections() const {
        const std::lock_guard lock(mutex_);
        return connections_;
    }

 private:
    bool ending() const {
        const std::lock_guard lock(mutex_);
        return ending_;
    }
    void arrive(const std::string& request) {
        const std::lock_guard lock(mutex_);
        arrivals_.push_back(request);
    }
    void accept() {
        while (!ending()) {
            pollfd state{listener_, POLLIN, 0};
            if (::poll(&state, 1, 20) <= 0) continue;
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            int number = 0;
            {
                const std::lock_guard lock(mutex_);
                number = connections_++;
            }
            peers_.emplace_back([this, fd, number] {
                Peer peer(fd, *this, number);
                play_(peer);
                ::close(fd);
            });
        }
    }

    std::function<void(Peer&)> play_;
    int listener_;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::string> arrivals_;  // by the mutex, as the two below
    int connections_ = 0;
    bool ending_ = false;
    std::vector<std::thread> peers_;  // the accepting thread's
    std::thread thread_;
};

/// A whole answer with a length.
inline std::string raw_answer(std::string_view status, std::string_view body, std::string_view lines = {}) {
    std::string text = "HTTP/1.1 ";
    text.append(status).append("\r\ncontent-type: application/json\r\n").append(lines);
    text.append("content-length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
    return text;
}

}  // namespace weir::test
