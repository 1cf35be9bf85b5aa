#include "tests/support/http.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
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

}  // namespace

std::string HttpAnswer::field(std::string_view name) const {
    const std::string low = lower(head);
    const auto at = low.find("\r\n" + std::string(name) + ':');
    if (at == std::string::npos) return {};
    const auto begin = head.find_first_not_of(' ', at + 2 + name.size() + 1);
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

HttpClient::HttpClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    set_patience(socket_, static_cast<int>(kPatience.count()));
    if (socket_ < 0 || !connect_to(socket_, port)) {
        const std::string why = std::strerror(errno);
        if (socket_ >= 0) ::close(socket_);
        throw std::runtime_error("cannot connect to port " + std::to_string(port) + ": " + why);
    }
}

HttpClient::~HttpClient() { ::close(socket_); }

void HttpClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) throw std::runtime_error(std::string("cannot send: ") + std::strerror(errno));
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void HttpClient::ask(std::string_view method, std::string_view target, std::string_view body,
                     std::string_view fields) {
    std::string request(method);
    request.append(" ").append(target).append(" HTTP/1.1\r\nHost: test\r\n").append(fields);
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(request.append("\r\n").append(body));
}

bool HttpClient::read_more() {
    std::array<char, 16'384> buffer;
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) throw std::runtime_error("no answer in time");
    if (got <= 0) return false;
    pending_.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
}

std::string HttpClient::read_line() {
    std::size_t end = pending_.find("\r\n");
    while (end == std::string::npos) {
        if (!read_more()) throw std::runtime_error("the connection ended within a line: " + pending_);
        end = pending_.find("\r\n");
    }
    std::string line = pending_.substr(0, end + 2);
    pending_.erase(0, end + 2);
    return line;
}

std::string HttpClient::read_bytes(std::size_t count) {
    while (pending_.size() < count) {
        if (!read_more()) throw std::runtime_error("the connection ended within a body");
    }
    std::string bytes = pending_.substr(0, count);
    pending_.erase(0, count);
    return bytes;
}

std::string HttpClient::read_chunks() {
    std::string body;
    for (;;) {
        const std::size_t size = std::stoul(read_line(), nullptr, 16);
        if (size == 0) break;
        body += read_bytes(size);
        read_line();
    }
    while (read_line() != "\r\n") continue;  // trailers
    return body;
}

HttpAnswer HttpClient::answer() {
    HttpAnswer answer;
    do {
        answer.head = read_line();
        if (answer.head.size() < 12) throw std::runtime_error("no status line: " + answer.head);
        answer.status = static_cast<unsigned>(std::stoul(answer.head.substr(9, 3)));
        while (!answer.head.ends_with("\r\n\r\n")) answer.head += read_line();
    } while (answer.status < 200);
    const std::string length = answer.field("content-length");
    if (lower(answer.field("transfer-encoding")) == "chunked") {
        answer.body = read_chunks();
    } else if (!length.empty()) {
        answer.body = read_bytes(std::stoul(length));
    } else if (answer.status != 204 && answer.status != 304) {
        answer.body = read_to_end();
    }
    return answer;
}

std::string HttpClient::read_to_end() {
    while (read_more()) continue;
    std::string all;
    all.swap(pending_);
    return all;
}

void HttpClient::half_close() { ::shutdown(socket_, SHUT_WR); }

bool HttpClient::is_closed() { return pending_.empty() && !read_more(); }

HttpAnswer fetch(std::uint16_t port, std::string_view method, std::string_view target, std::string_view body,
                 std::string_view fields) {
    HttpClient client(port);
    client.ask(method, target, body, fields);
    return client.answer();
}

}  // namespace weir::test
