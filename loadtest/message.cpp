#include "loadtest/message.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace weir::loadtest {

namespace {

/// Whether to try again: after a signal at once, and when the socket cannot now, once it can. Somebody who
/// watches the socket may have made it non-blocking, so that the flags of a call do not decide alone.
bool wait_to_retry(int socket, short event) noexcept {
    if (errno == EINTR) return true;
    if (errno != EAGAIN) return false;
    pollfd ready{socket, event, 0};
    return ::poll(&ready, 1, -1) > 0 || errno == EINTR;
}

}  // namespace

bool send_packet(int socket, std::span<const std::byte> bytes, bool wait) noexcept {
    const int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    ssize_t sent = -1;
    do {
        sent = ::send(socket, bytes.data(), bytes.size(), flags);
    } while (sent < 0 && (wait ? wait_to_retry(socket, POLLOUT) : errno == EINTR));
    return sent == static_cast<ssize_t>(bytes.size());
}

bool receive_packet(int socket, std::span<std::byte> bytes) noexcept {
    ssize_t got = -1;
    do {
        got = ::recv(socket, bytes.data(), bytes.size(), 0);
    } while (got < 0 && wait_to_retry(socket, POLLIN));
    return got == static_cast<ssize_t>(bytes.size());
}

}  // namespace weir::loadtest
