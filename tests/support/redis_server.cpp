#include "tests/support/redis_server.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/support/loopback.hpp"
#include "tests/support/wait.hpp"

namespace weir::test {
namespace {

/// What the environment says of `name`; empty if it says nothing.
std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// The path of a program, given as that or by a name that PATH knows; empty if there is none.
std::string find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    std::istringstream folders(variable("PATH"));
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::string path = folder + '/' + name;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return {};
}

std::string program() {
    const std::string named = variable("WEIR_REDIS_SERVER");
    return find_program(named.empty() ? "redis-server" : named);
}

}  // namespace

bool RedisServer::available() { return !variable("WEIR_REDIS_SERVER").empty() || !program().empty(); }

RedisServer::RedisServer(std::vector<std::string> settings) : settings_(std::move(settings)) {
    // Somebody else may take a port between its choice and its use: then the next one is tried.
    for (int attempt = 0; attempt < 5; ++attempt) {
        port_ = free_port();
        if (start()) return;
    }
    fail();
}

void RedisServer::restart() {
    stop();
    if (!start()) fail();
}

void RedisServer::fail() const {
    throw std::runtime_error(command()[0] + " does not start:\n" + server_->output() + server_->errors());
}

std::uint16_t RedisServer::free_port() {
    // A cluster's bus has the port plus 10,000.
    constexpr std::uint16_t kPortMax = 55'535;
    std::uint16_t port;
    do {
        port = free_ports(1).front();
    } while (port > kPortMax);
    return port;
}

std::vector<std::string> RedisServer::command() const {
    const std::string path = program();
    if (path.empty()) throw std::runtime_error("there is no redis-server, or none as WEIR_REDIS_SERVER says");
    std::vector<std::string> words = {path, "--port", std::to_string(port_), "--bind", "127.0.0.1",
                                      "--unixsocket", socket_path(), "--dir", folder_.path(""),
                                      "--save", "", "--appendonly", "no"};
    words.insert(words.end(), settings_.begin(), settings_.end());
    if (std::find(settings_.begin(), settings_.end(), "--sentinel") != settings_.end()) {
        // A sentinel keeps what it finds out in its configuration, and insists on a file for that.
        words.insert(words.begin() + 1, folder_.write("sentinel.conf", ""));
    }
    return words;
}

bool RedisServer::start() {
    server_.emplace(command());
    return wait_until([&] { return server_->has_ended() || answers(); }) && !server_->has_ended();
}

/// Whatever the answer is, also that a password is needed or that it still loads. It is asked by its Unix
/// socket, which no other server has, and which it makes once it has its port.
bool RedisServer::answers() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = socket_path();
    if (path.size() >= sizeof address.sun_path) throw std::runtime_error("too long for a socket: " + path);
    path.copy(address.sun_path, path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_patience(socket, static_cast<int>(kPatience.count()));
    constexpr std::string_view kPing = "PING\r\n";
    char answer;
    // NOLINTNEXTLINE: the socket interface asks for this cast.
    const auto* const there = reinterpret_cast<const sockaddr*>(&address);
    const bool answered = ::connect(socket, there, sizeof address) == 0 &&
                          ::send(socket, kPing.data(), kPing.size(), MSG_NOSIGNAL) > 0 &&
                          ::recv(socket, &answer, 1, 0) == 1;
    ::close(socket);
    return answered;
}

}  // namespace weir::test
