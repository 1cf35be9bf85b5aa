#include "tests/support/raw_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "tests/support/loopback.hpp"
#include "tests/support/wait.hpp"

namespace weir::test {
namespace {

std::string lower(std::string_view text) {
    std::string low(text);
    std::transform(low.begin(), low.end(), low.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return low;
}

/// Where the field's line begins in `head`; npos if there is none.
std::size_t find_field(std::string_view head, std::string_view name) {
    return lower(head).find("\r\n" + std::string(name) + ':');
}

}  // namespace

std::string RawAnswer::field(std::string_view name) const {
    const std::size_t at = find_field(head, name);
    if (at == std::string::npos) return {};
    const std::size_t begin = head.find_first_not_of(' ', at + 2 + name.size() + 1);
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

bool RawAnswer::has(std::string_view name) const { return find_field(head, name) != std::string::npos; }

RawClient::RawClient(std::uint16_t port, int receive_buffer)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    set_patience(fd_, static_cast<int>(kPatience.count()));
    const timeval patience{kPatience.count(), 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receive_buffer > 0) {
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    if (!connect_to(fd_, port)) {
        const std::string why = std::strerror(errno);
        leave();
        throw std::runtime_error("cannot connect to port " + std::to_string(port) + ": " + why);
    }
}

void RawClient::leave() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void RawClient::half_close() { ::shutdown(fd_, SHUT_WR); }

void RawClient::reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    leave();
}

bool RawClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

void RawClient::ask(std::string_view method, std::string_view target, std::string_view body,
                    std::string_view lines) {
    std::string request(method);
    request.append(" ").append(target).append(" HTTP/1.1\r\nhost: x\r\n").append(lines);
    request.append("content-length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
    send(request);
}

bool RawClient::more() {
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0) error_ = errno;
    ended_ = got == 0 || (got < 0 && errno != EAGAIN);
    if (got > 0) pending_.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
}

std::string RawClient::read(std::size_t count) {
    while (pending_.size() < count && more()) continue;
    std::string taken = pending_.substr(0, count);
    pending_.erase(0, taken.size());
    return taken;
}

std::string RawClient::read_until(std::string_view end) {
    std::size_t at;
    while ((at = pending_.find(end)) == std::string::npos && more()) continue;
    return read(at == std::string::npos ? pending_.size() : at + end.size());
}

/// False if they end before the last.
bool RawClient::read_chunks(std::string& body) {
    while (const std::size_t size = std::strtoul(read_until("\r\n").c_str(), nullptr, 16)) {
        body += read(size);
        if (read(2) != "\r\n") return false;
    }
    std::string trailer = read_until("\r\n");
    while (trailer.size() > 2) trailer = read_until("\r\n");
    return trailer == "\r\n";
}

RawAnswer RawClient::answer() {
    RawAnswer answer;
    answer.head = read_until("\r\n\r\n");
    if (!answer.head.ends_with("\r\n\r\n")) return answer;
    if (answer.head.size() > 12) std::from_chars(&answer.head[9], &answer.head[12], answer.status);
    if (lower(answer.field("transfer-encoding")) == "chunked") {
        answer.whole = read_chunks(answer.body);
    } else if (answer.has("content-length")) {
        const std::size_t length = std::stoul(answer.field("content-length"));
        answer.body = read(length);
        answer.whole = answer.body.size() == length;
    } else if (answer.status == 100 || answer.status == 204 || answer.status == 304) {
        answer.whole = true;
    } else {
        answer.body = read_all();
        answer.whole = answer.status != 0 && ended_;
    }
    return answer;
}

RawAnswer fetch(std::uint16_t port, std::string_view method, std::string_view target, std::string_view body,
                std::string_view lines) {
    RawClient client(port);
    client.ask(method, target, body, lines);
    RawAnswer answer = client.answer();
    if (!answer.whole) throw std::runtime_error("no whole answer: " + answer.head + answer.body);
    return answer;
}

}  // namespace weir::test
