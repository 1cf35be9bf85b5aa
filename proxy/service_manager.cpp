#include "proxy/service_manager.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace weir::proxy {
namespace {

/// The first descriptor that is handed down: SD_LISTEN_FDS_START.
constexpr int kFirstSocket = 3;

std::optional<long> number_in(const char* variable) {
    const char* text = std::getenv(variable);
    if (!text) return std::nullopt;
    long number = 0;
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, number);
    if (error != std::errc() || rest != end) return std::nullopt;
    return number;
}

}  // namespace

std::optional<int> inherited_socket() {
    const auto pid = number_in("LISTEN_PID");
    const auto count = number_in("LISTEN_FDS");
    ::unsetenv("LISTEN_PID");
    ::unsetenv("LISTEN_FDS");
    ::unsetenv("LISTEN_FDNAMES");
    if (!count || *count <= 0 || pid != ::getpid()) return std::nullopt;
    if (*count > 1) {
        throw std::runtime_error(fmt::format("{} sockets were handed down, expected one", *count));
    }
    ::fcntl(kFirstSocket, F_SETFD, FD_CLOEXEC);
    const int flags = ::fcntl(kFirstSocket, F_GETFL);
    ::fcntl(kFirstSocket, F_SETFL, flags | O_NONBLOCK);
    return kFirstSocket;
}

void notify_manager(std::string_view state) noexcept {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (!path || std::strlen(path) >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, std::strlen(path));
    if (path[0] == '@') address.sun_path[0] = '\0';  // in the abstract namespace
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    ::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address), size);
    ::close(socket);
}

void notify_reloading() noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    notify_manager(std::string("RELOADING=1\nMONOTONIC_USEC=").append(std::to_string(micros)));
}

}  // namespace weir::proxy
