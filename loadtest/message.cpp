#include "loadtest/message.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace weir::loadtest {

bool send_packet(int socket, std::span<const std::byte> bytes, bool wait) noexcept {
    const int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    ssize_t sent = -1;
    do {
        sent = ::send(socket, bytes.data(), bytes.size(), flags);
    } while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(bytes.size());
}

bool receive_packet(int socket, std::span<std::byte> bytes) noexcept {
    ssize_t got = -1;
    do {
        got = ::recv(socket, bytes.data(), bytes.size(), 0);
    } while (got < 0 && errno == EINTR);
    return got == static_cast<ssize_t>(bytes.size());
}

}  // namespace weir::loadtest
