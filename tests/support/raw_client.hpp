// A blocking client that sends what a test writes, byte for byte, and gives up after a while.
//
// Thread safety: none.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/loopback.hpp"

namespace weir::test {

/// An answer as it came; `head` ends with its empty line.
struct RawAnswer {
    unsigned status = 0;
    std::string head;
    std::string body;

    /// The value of a field, by its name in lower case; empty if it is not there.
    std::string field(std::string_view name) const {
        const std::size_t at = head.find("\r\n" + std::string(name) + ": ");
        if (at == std::string::npos) return {};
        const std::size_t begin = at + name.size() + 4;
        return head.substr(begin, head.find("\r\n", begin) - begin);
    }
    bool has(std::string_view name) const {
        return head.find("\r\n" + std::string(name) + ": ") != std::string::npos;
    }
};

class RawClient {
 public:
    static constexpr int kPatienceSeconds = 20;

    /// Throws std::runtime_error if nobody listens. `receive_buffer` 0 is the system's size.
    explicit RawClient(std::uint16_t port, int receive_buffer = 0)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        set_patience(fd_, kPatienceSeconds);
        const timeval patience{kPatienceSeconds, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (receive_buffer > 0) {
            ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        if (!connect_to(fd_, port)) {
            ::close(fd_);
            throw std::runtime_error("cannot connect to port " + std::to_string(port));
        }
    }
    ~RawClient() { leave(); }
    RawClient(RawClient&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)),
          pending_(std::move(other.pending_)),
          ended_(other.ended_) {}
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void leave() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    void half_close() { ::shutdown(fd_, SHUT_WR); }

    /// Leaves by RST.
    void reset() {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        leave();
    }

    /// False if the peer does not take it.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    /// Sends a request; `lines` are further fields, each with its end.
    void ask(std::string_view method, std::string_view target, std::string_view body,
             std::string_view lines = {}) {
        std::string request;
        request.append(method)
            .append(" ")
            .append(target)
            .append(" HTTP/1.1\r\nhost: x\r\n")
            .append(lines);
        request.append("content-length: ")
            .append(std::to_string(body.size()))
            .append("\r\n\r\n")
            .append(body);
        send(request);
    }

    /// Until `count` bytes are there, or the end.
    std::string read(std::size_t count) {
        while (pending_.size() < count && more()) continue;
        std::string taken = pending_.substr(0, count);
        pending_.erase(0, taken.size());
        return taken;
    }
    std::string read_all() { return read(std::string::npos); }

    /// Until `end` has come, which is taken too; all there is if it does not come.
    std::string read_until(std::string_view end) {
        std::size_t at;
        while ((at = pending_.find(end)) == std::string::npos && more()) continue;
        return read(at == std::string::npos ? pending_.size() : at + end.size());
    }

    /// One answer, in chunks (which are joined), with a length, or until the end.
    RawAnswer answer() {
        RawAnswer answer;
        answer.head = read_until("\r\n\r\n");
        if (answer.head.size() > 12)
            std::from_chars(&answer.head[9], &answer.head[12], answer.status);
        if (answer.field("transfer-encoding") == "chunked") {
            for (;;) {
                const std::size_t size = std::strtoul(read_until("\r\n").c_str(), nullptr, 16);
                answer.body += read(size);
                if (read(2) != "\r\n" || size == 0) break;
            }
        } else if (answer.has("content-length")) {
            answer.body = read(std::stoul(answer.field("content-length")));
        } else if (answer.status != 100 && answer.status != 204) {
            answer.body = read_all();
        }
        return answer;
    }

    RawAnswer post(std::string_view target, std::string_view body, std::string_view lines = {}) {
        ask("POST", target, body, lines);
        return answer();
    }
    RawAnswer get(std::string_view target, std::string_view lines = {}) {
        ask("GET", target, {}, lines);
        return answer();
    }

    int descriptor() const noexcept { return fd_; }

    /// Whether the peer ended the connection; `error` is ECONNRESET if it did by RST.
    bool ended() { return read(1).empty() && ended_; }
    int error() const noexcept { return error_; }

 private:
    bool more() {
        std::array<char, 16384> buffer;
        const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (got < 0) error_ = errno;
        ended_ = got == 0 || (got < 0 && errno != EAGAIN);
        if (got > 0) pending_.append(buffer.data(), static_cast<std::size_t>(got));
        return got > 0;
    }

    int fd_;
    std::string pending_;
    bool ended_ = false;
    int error_ = 0;
};

}  // namespace weir::test
